"""The plan of changes: what may differ in another version of a study file."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iwrs.definition import (
    DefinitionError,
    StudyDefinition,
    parse_definition,
    plan_changes,
)
from tests.iwrs.definitions import (
    CAP,
    DOCUMENT,
    REMOVE,
    YES_NO,
    changed,
    study,
    text_of,
)

# ------------------------------------------------------------------ plan of changes

CHANGES: list[tuple[tuple[str | int, ...], Any, str, bool]] = [
    # path, new value, key in the plan, allowed although the list exists
    (("study", "code"), "bolero3", "study.code", False),
    (("study", "title"), "Another title", "study.title", True),
    (("study", "planned_subjects"), 700, "study.planned_subjects", True),
    (("study", "max_subjects"), 800, "study.max_subjects", True),
    (("caps",), [CAP], "caps[some]", True),
    (("arms", 0, "label"), "Everolimus", "arms[EVE].label", False),
    (("arms", 1, "control"), True, "arms[PBO].control", False),
    (("factors", 1, "help"), "Clearer words.", "factors[sensitive].help", True),
    (("factors", 1, "question"), "Sensitive?", "factors[sensitive].question", False),
    (("factors", 1, "levels", 0, "label"), "Y", "factors[sensitive].levels[yes].label", False),
    (("factors", 1, "levels"), YES_NO[::-1], "factors[sensitive].levels (order)", False),
    (("factors",), DOCUMENT["factors"][::-1], "factors (order)", False),
    (("factors",), DOCUMENT["factors"][:1], "factors[sensitive]", False),
    (("arms",), DOCUMENT["arms"][::-1], "arms (order)", False),
    (("randomization", "block_sizes"), [3], "randomization.block_sizes", False),
    (("randomization", "list_length"), 600, "randomization.list_length", False),
    (("eligibility", 0, "question"), "Other?", "eligibility[postmenopausal].question", True),
    (("eligibility",), DOCUMENT["eligibility"][1:], "eligibility[postmenopausal]", True),
    (("baseline", 0, "maximum"), 110, "baseline[age].maximum", True),
    (("baseline", 1, "help"), "By the physician.", "baseline[ecog].help", True),
    (
        ("drugs", 0, "stop_reasons", 0, "label"),
        "PD",
        "drugs[study_drug].stop_reasons[progression].label",
        True,
    ),
    (("drugs",), DOCUMENT["drugs"][:1], "drugs[exemestane]", False),
    (("drugs",), DOCUMENT["drugs"][::-1], "drugs (order)", True),
    (("dose_levels", 2, "label"), "5 mg each 48 h", "dose_levels[5mg_alternate].label", True),
    (("kits", "type"), "tablets-10mg", "kits.type", False),
    (("kits", "contents", "PBO"), "Placebo", "kits.contents.PBO", False),
    (("kits", "cohort_size"), 4, "kits.cohort_size", False),
    (("kits", "units"), 100, "kits.units", True),
    (("schedule", "window_after_days"), 3, "schedule.window_after_days", True),
    (("schedule", "reminder_days_before"), 3, "schedule.reminder_days_before", True),
    (("interim", "support"), REMOVE, "interim.support", True),
    (("interim", "looks"), [0.5, 1.0], "interim.looks", True),
    (("recipients", 0, "label"), "DSMB", "recipients[dsmb].label", True),
]


@pytest.mark.parametrize(("path", "value", "key", "allowed"), CHANGES, ids=[c[2] for c in CHANGES])
def test_a_change_is_named_and_judged(
    bolero2: StudyDefinition, path: tuple[str | int, ...], value: Any, key: str, allowed: bool
) -> None:
    new = study((path, value))
    [change] = plan_changes(bolero2, new, list_exists=True).changes
    assert (change.key, change.allowed) == (key, allowed)
    assert bool(change.why) is not allowed
    assert change.old != change.new
    [before] = plan_changes(bolero2, new, list_exists=False).changes
    assert before.allowed
    assert before.why == ""


def test_an_anchor_of_a_later_version_is_refused(bolero2: StudyDefinition) -> None:
    moved = bolero2.schedule.model_copy(update={"anchor": "first_dose"})
    new = bolero2.model_copy(update={"schedule": moved})
    [change] = plan_changes(bolero2, new, list_exists=True).refused
    assert (change.key, change.old, change.new) == (
        "schedule.anchor",
        "randomization",
        "first_dose",
    )


def test_the_other_drug_cannot_become_the_blinded_one(bolero2: StudyDefinition) -> None:
    new = study(
        (("drugs", 0, "blinded"), False),
        (("drugs", 1, "blinded"), True),
        (("dose_levels", 0, "drug"), "exemestane"),
        (("dose_levels", 1, "drug"), "exemestane"),
        (("dose_levels", 2, "drug"), "exemestane"),
    )
    refused = plan_changes(bolero2, new, list_exists=True).refused
    assert [change.key for change in refused] == [
        "drugs[study_drug].blinded",
        "drugs[exemestane].blinded",
    ]


def test_the_same_definition_has_no_changes(bolero2: StudyDefinition) -> None:
    again = StudyDefinition.model_validate_json(bolero2.canonical_json())
    plan = plan_changes(bolero2, again, list_exists=True)
    assert plan.changes == ()
    assert plan.refused == ()
    assert plan.render() == "No changes."


def test_a_new_study_is_all_new(bolero2: StudyDefinition) -> None:
    plan = plan_changes(None, bolero2, list_exists=False)
    assert plan.refused == ()
    assert all(change.old is None for change in plan.changes)
    assert {"study", "arms[EVE]", "factors[visceral]"} <= {change.key for change in plan.changes}
    with pytest.raises(ValueError, match="list exists"):
        plan_changes(None, bolero2, list_exists=True)


def test_the_plan_is_readable_on_a_terminal(bolero2: StudyDefinition) -> None:
    new = study(
        (("study", "planned_subjects"), 700),
        (("kits", "cohort_size"), 4),
        (("interim", "support"), REMOVE),
    )
    assert plan_changes(bolero2, new, list_exists=True).render().split("\n") == [
        "3 changes, 1 refused.",
        "  REFUSED  kits.cohort_size: 6 -> 4",
        "           why: fixed since the list was made: "
        "cover cohorts already sent to centres were counted with it",
        "  allowed  study.planned_subjects: 705 -> 700",
        '  allowed  interim.support: removed, was "PFSIRC"',
    ]


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_nothing_that_makes_the_list_changes_unrefused(data: st.DataObject) -> None:
    old = study()
    chosen = data.draw(st.lists(st.sampled_from(CHANGES), min_size=1, max_size=4))
    document = changed()
    for path, value, _, _ in chosen:
        try:
            target: Any = document
            for step in path[:-1]:
                target = target[step]
            if value is REMOVE:
                target.pop(path[-1], None)
            else:
                target[path[-1]] = copy.deepcopy(value)
        except (IndexError, KeyError):
            continue  # an edit before this one took the entry away
    try:
        new = parse_definition(text_of(document)).definition
    except DefinitionError:
        return  # edits that contradict each other make no definition
    same_list = (
        (old.study.code, old.arms, old.randomization, old.strata())
        == (new.study.code, new.arms, new.randomization, new.strata())
    )  # fmt: skip
    assert same_list or plan_changes(old, new, list_exists=True).refused
