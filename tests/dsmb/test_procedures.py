"""How subjects were randomized, read for the re-randomization test: order, levels, no arm."""

from datetime import date
from typing import Any

import numpy as np
import pytest

from dsmb import analysis
from dsmb.analysis.pairs import periods_of
from dsmb.unblinded.procedures import procedures
from dsmb.unblinded.records import read_records
from enrolment.models import Subject
from iwrs import clock
from iwrs.models import Study
from iwrs.signatures import Signature
from randomization.simulation.engine import allocate
from randomization.simulation.entry import same_entry
from randomization.unblinded.forced import force_allocation
from randomization.unblinded.models import Allocation
from randomization.unblinded.records import waiting_record
from tests import factories as make
from tests.queries import statements_of
from tests.randomization.test_next_list import announce, next_list, one_to_one
from tests.roles import as_unblinded
from trial.services import randomize

pytestmark = pytest.mark.usefixtures("db")
CONTROL = "PBO"
CUT = date(2030, 1, 1)


def force(subject: Subject, arm: str) -> None:
    by = make.STATISTICIANS[0]
    shown = waiting_record(subject).sha256
    signature = Signature(by.label, clock.now(), "I name it", shown=shown)
    with as_unblinded():
        force_allocation(subject, arm, by=by, why="The committee decided it", signature=signature)


def a_trial(count: int, **more: Any) -> Study:
    study = make.a_study(**more)
    centre = make.a_centre(study, cover=6)
    more_subjects(centre, count)
    return study


def more_subjects(centre: Any, count: int) -> None:
    for number in range(count):
        strata = {
            "visceral": "yes" if number % 3 else "no",
            "sensitive": "yes" if number % 5 < 2 else "no",
        }
        randomize(make.a_subject(centre, strata=strata), by=make.TESTER)


def test_the_recorded_draws_give_the_arms_that_the_gate_gave() -> None:
    """Minimization run again by the vectorised engine, with the list's own draws."""
    study = a_trial(25, method="minimization")
    with as_unblinded():
        [used] = procedures(study, CONTROL)
        rows = Allocation.objects.filter(subject__study=study)
        real = dict(rows.values_list("subject__number", "arm"))
        draws = dict(rows.values_list("subject__number", "entry__draw"))
    assert used.factors == ("visceral", "sensitive")
    factors, sizes = {}, []
    for at, factor in enumerate(used.factors):
        levels, codes = np.unique([each[at] for each in used.levels], return_inverse=True)
        factors[factor] = codes.tolist()
        sizes.append(len(levels))
    entry = same_entry(len(used.subjects), factors, sizes, 1)
    drawn = np.array([[draws[number] / 2**53] for number in used.subjects])
    ratio = tuple(ratio for _, ratio in used.arms)
    arms = allocate(used.method, ratio, entry, drawn, drawn).arms[:, 0]
    codes = [code for code, _ in used.arms]
    assert {number: codes[arm] for number, arm in zip(used.subjects, arms, strict=True)} == real
    assert set(real.values()) == {"EVE", "PBO"}


@pytest.mark.parametrize("method", make.METHODS)
def test_every_subject_of_every_method_can_be_randomized_again(method: str) -> None:
    study = a_trial(7, method=method)
    with as_unblinded():
        used = procedures(study, CONTROL)
    numbers = sorted(study.subjects.values_list("number", flat=True))
    again = analysis.run_again(used, numbers, repeats=300)
    assert again.treated.shape == (7, 300)
    assert 0.5 < again.treated.mean() < 0.8


def test_the_order_is_that_of_the_places_and_the_queries_are_three() -> None:
    study = a_trial(9)
    with as_unblinded():
        [used] = procedures(study, CONTROL)
        placed = dict(
            Allocation.objects.filter(subject__study=study).values_list(
                "subject__number", "entry__position"
            )
        )
        seen = statements_of(lambda: procedures(study, CONTROL))
    by_stratum: dict[str, list[int]] = {}
    for number, (stratum,) in zip(used.subjects, used.levels, strict=True):
        by_stratum.setdefault(stratum, []).append(placed[number])
    assert all(places == list(range(1, len(places) + 1)) for places in by_stratum.values())
    assert len(seen) == 3
    assert all('"allocation"."arm"' not in each for each in seen)


def test_a_next_list_with_another_ratio_is_a_period_of_its_own() -> None:
    study = a_trial(5)
    centre = study.centres.get()
    announce(study, one_to_one(study))
    next_list(study)
    more_subjects(centre, 3)
    with as_unblinded():
        used = procedures(study, CONTROL)
        assert len(read_records(Study.objects.get(pk=study.pk), CUT)) == 8
    numbers = list(study.subjects.order_by("pk").values_list("number", flat=True))
    found = periods_of(used, numbers, study.definition.arm_codes)
    assert [(each.ratio, each.places) for each in found] == [
        ((2, 1), tuple(range(5))),
        ((1, 1), tuple(range(5, 8))),
    ]


def test_nobody_randomized_is_no_procedure() -> None:
    study = make.a_study()
    with as_unblinded():
        assert procedures(study, CONTROL) == []


def test_an_arm_that_was_named_is_kept_and_the_others_go_on() -> None:
    study = make.a_study(keys="forced_allocation = true")
    centre = make.a_centre(study, cover=2)
    subjects = [make.a_subject(centre) for _ in range(6)]
    force(subjects[2], "PBO")
    force(subjects[4], "EVE")
    for subject in subjects:
        randomize(subject, by=make.TESTER)
    with as_unblinded():
        [used] = procedures(study, CONTROL)
    assert used.named == {subjects[2].number: "PBO", subjects[4].number: "EVE"}
    assert len(used.subjects) == 6  # a place of the list is used up
    again = analysis.run_again([used], [each.number for each in subjects], repeats=400).treated
    assert not again[2].any()
    assert again[4].all()
    assert all(0.5 < again[row].mean() < 0.85 for row in (0, 1, 3, 5))
