"""The study definition: what is accepted, its text and its strata, and each refusal in words."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from iwrs.definition import (
    UNSTRATIFIED,
    DefinitionError,
    StudyDefinition,
    UnansweredFactor,
    UnknownLevel,
    load_definition,
    parse_definition,
)
from tests.iwrs.definitions import (
    BOLERO2,
    CAP,
    DOCUMENT,
    REMOVE,
    YES_NO,
    changed,
    problems,
    study,
    text_of,
)

# ------------------------------------------------------------------ the study that ships


def test_the_shipped_study_has_the_published_design(bolero2: StudyDefinition) -> None:
    assert bolero2.schema_version == 1
    assert (bolero2.study.planned_subjects, bolero2.study.max_subjects) == (705, 760)
    assert dict(zip(bolero2.arm_codes, bolero2.ratio, strict=True)) == {"EVE": 2, "PBO": 1}
    assert bolero2.randomization.block_sizes == (3, 6)
    assert bolero2.blinded_drug.key == "study_drug"
    assert (bolero2.schedule.every_days, bolero2.schedule.anchor) == (42, "randomization")
    assert (bolero2.interim.endpoint, bolero2.interim.support) == ("PFSINV", "PFSIRC")
    assert (bolero2.interim.planned_events, bolero2.interim.looks) == (528, (0.6, 1.0))
    doses = {dose.key: dose.tablets_per_28_days for dose in bolero2.dose_levels}
    assert doses == {"10mg": 56, "5mg": 28, "5mg_alternate": 14}


def test_the_shipped_study_asks_all_eligibility_questions(bolero2: StudyDefinition) -> None:
    kinds = [question.kind for question in bolero2.eligibility]
    assert (kinds.count("include"), kinds.count("exclude")) == (8, 4)
    may_deviate = [question.key for question in bolero2.eligibility if question.deviation_allowed]
    assert may_deviate == ["her2_negative"]
    words = " ".join(question.question for question in bolero2.eligibility).casefold()
    assert "consent" not in words
    assert "ethics" not in words


def test_only_age_and_ecog_must_be_recorded(bolero2: StudyDefinition) -> None:
    assert [item.key for item in bolero2.baseline if item.required] == ["age", "ecog"]


def test_the_help_of_the_sensitivity_question_holds_the_definition(
    bolero2: StudyDefinition,
) -> None:
    text = next(factor.help for factor in bolero2.factors if factor.key == "sensitive")
    assert "24 months" in text
    assert "24 weeks" in text


# ------------------------------------------------------------------ text, hash, JSON


def test_the_hash_is_of_the_file_as_it_stands(tmp_path: Path) -> None:
    content = BOLERO2.read_bytes().replace(b"\n", b"\r\n")
    path = tmp_path / "study.toml"
    path.write_bytes(content)
    loaded = load_definition(path)
    assert loaded.sha256 == hashlib.sha256(content).hexdigest()
    assert loaded.text.encode() == content
    assert parse_definition(loaded.text).sha256 == loaded.sha256


def test_controls_are_those_marked_and_of_two_arms_the_last(bolero2: StudyDefinition) -> None:
    assert bolero2.control_codes == ("PBO",)
    assert study((("arms", 0, "control"), True)).control_codes == ("EVE",)
    third = {"code": "LOW", "label": "Low dose", "ratio": 1}
    three = [
        (("arms", 2), third),
        (("kits", "contents", "LOW"), "Low dose"),
        (("randomization", "block_sizes"), [4]),
    ]
    assert study(*three).control_codes == ()
    assert study(*three, (("arms", 1, "control"), True)).control_codes == ("PBO",)
    both = [(("arms", number, "control"), True) for number in (0, 1)]
    assert study(*three, *both).control_codes == ("EVE", "PBO")


def test_canonical_json_does_not_depend_on_the_order_of_keys(bolero2: StudyDefinition) -> None:
    def reversed_keys(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: reversed_keys(value[key]) for key in reversed(value)}
        return [reversed_keys(entry) for entry in value] if isinstance(value, list) else value

    again = parse_definition(text_of(reversed_keys(DOCUMENT))).definition
    assert again.canonical_json() == bolero2.canonical_json()


def test_canonical_json_is_compact_sorted_and_complete(bolero2: StudyDefinition) -> None:
    document = json.loads(bolero2.canonical_json())
    compact = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert compact == bolero2.canonical_json()
    assert document["schema"] == 1
    assert set(document) == set(DOCUMENT) | {"caps", "unblinding"}, (
        "what may be left out is there too"
    )


@given(
    title=st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1),
    ratio=st.integers(1, 5),
    alpha=st.floats(0.0001, 0.4),
    first=st.floats(0.01, 0.99),
)
@settings(max_examples=50, deadline=None)
def test_json_round_trip(title: str, ratio: int, alpha: float, first: float) -> None:
    definition = study(
        (("study", "title"), title[:300]),
        (("arms", 0, "ratio"), ratio),
        (("randomization", "block_sizes"), [2 * (ratio + 1), ratio + 1]),
        (("interim", "alpha_one_sided"), alpha),
        (("interim", "looks"), [first, 1]),
        (("interim", "support"), REMOVE),
    )
    text = definition.canonical_json()
    again = StudyDefinition.model_validate_json(text)
    assert again == definition
    assert again.canonical_json() == text


def test_stored_json_is_checked_by_the_same_rules(bolero2: StudyDefinition) -> None:
    document = json.loads(bolero2.canonical_json())
    document["randomization"]["block_sizes"] = [4]
    with pytest.raises(ValidationError, match="multiple of 3"):
        StudyDefinition.model_validate_json(json.dumps(document))


def test_a_definition_cannot_be_changed(bolero2: StudyDefinition) -> None:
    with pytest.raises(ValidationError):
        bolero2.arms[0].ratio = 3  # type: ignore[misc]


# ------------------------------------------------------------------ strata


def test_strata_in_file_order(bolero2: StudyDefinition) -> None:
    strata = bolero2.strata()
    assert [stratum.key for stratum in strata] == [
        "visceral=yes|sensitive=yes",
        "visceral=yes|sensitive=no",
        "visceral=no|sensitive=yes",
        "visceral=no|sensitive=no",
    ]
    assert strata[1].levels == {"visceral": "yes", "sensitive": "no"}
    assert strata[1].label == (
        "Visceral metastasis present: Yes; Previous sensitivity to endocrine therapy: No"
    )


def test_every_stratum_is_named_by_its_own_answers(bolero2: StudyDefinition) -> None:
    for stratum in bolero2.strata():
        assert bolero2.stratum_key(stratum.levels) == stratum.key
    extra = {"sensitive": "no", "visceral": "yes", "age": "61"}
    assert bolero2.stratum_key(extra) == "visceral=yes|sensitive=no"


@pytest.mark.parametrize("answers", [{}, {"visceral": "yes"}, {"visceral": "yes", "sensitive": ""}])
def test_an_unanswered_factor_is_named(bolero2: StudyDefinition, answers: dict[str, str]) -> None:
    with pytest.raises(UnansweredFactor) as refusal:
        bolero2.stratum_key(answers)
    assert refusal.value.field in {"visceral", "sensitive"} - {k for k, v in answers.items() if v}
    assert refusal.value.allowed == ("yes", "no")
    assert "yes, no" in str(refusal.value)


@pytest.mark.parametrize("answer", ["Yes", "yes ", "maybe", "yes|sensitive=no", 1, ["yes"], True])
def test_an_unknown_level_is_named(bolero2: StudyDefinition, answer: Any) -> None:
    with pytest.raises(UnknownLevel) as refusal:
        bolero2.stratum_key({"visceral": "no", "sensitive": answer})
    assert refusal.value.field == "sensitive"
    assert refusal.value.allowed == ("yes", "no")


def test_a_study_without_factors_has_one_stratum() -> None:
    definition = study((("factors",), REMOVE), (("randomization", "list_length"), 800))
    assert [stratum.key for stratum in definition.strata()] == [UNSTRATIFIED]
    assert definition.stratum_key({}) == UNSTRATIFIED


# ------------------------------------------------------------------ refusals, one by one


def cap(**values: Any) -> list[tuple[tuple[str | int, ...], Any]]:
    return [(("caps",), [CAP | values])]


HIDDEN = "must not be empty and must not begin or end with a space"

REFUSALS: list[tuple[list[tuple[tuple[str | int, ...], Any]], str, str, str]] = [
    # edits, key, found, words that say what is allowed
    ([(("arms", 1, "ration"), 1)], "arms[1].ration", "1", "did you mean ratio"),
    ([(("arms", 1, "ration"), 1)], "arms[1].ration", "1", "code, label, ratio"),
    ([(("studdy",), {})], "studdy", "{}", "did you mean study"),
    ([(("a\nb.c",), 1)], '"a\\nb.c"', "1", "unknown key; allowed here: schema, study"),
    ([(("factors", 0, "levels", 1, "lable"), "x")], "factors[0].levels[1].lable", '"x"', "label"),
    ([(("schema",), 2)], "schema", "2", "must be one of: 1"),
    ([(("schema",), REMOVE)], "schema", "nothing", "add it"),
    ([(("kits",), REMOVE)], "kits", "nothing", "add it"),
    ([(("arms", 1, "ratio"), REMOVE)], "arms[1].ratio", "nothing", "add it"),
    ([(("arms", 1, "ratio"), 0)], "arms[1].ratio", "0", "must be 1 or more"),
    ([(("arms", 1, "ratio"), -2)], "arms[1].ratio", "-2", "must be 1 or more"),
    ([(("arms", 1, "ratio"), 1.0)], "arms[1].ratio", "1.0", "whole number"),
    ([(("arms", 1, "ratio"), "1")], "arms[1].ratio", '"1"', "without quotes"),
    ([(("arms", 1, "ratio"), True)], "arms[1].ratio", "true", "whole number"),
    ([(("arms",), {"code": "EVE"})], "arms", '{"code": "EVE"}', "must be a list"),
    ([(("study",), "bolero2")], "study", '"bolero2"', "must be a table"),
    ([(("arms", 1), REMOVE)], "arms", "[{", "2 or more entries"),
    ([(("arms", 1, "code"), "EVE")], "arms[1].code", '"EVE"', "arms[0].code already has it"),
    ([(("arms", 0, "control"), True), (("arms", 1, "control"), True)], "arms", "2", "not be a c"),
    ([(("arms", 0, "control"), "yes")], "arms[0].control", '"yes"', "true or false"),
    ([(("arms", 0, "code"), "eve")], "arms[0].code", '"eve"', "capital letters"),
    ([(("arms", 0, "code"), "EVEROLIMU")], "arms[0].code", '"EVEROLIMU"', "1 to 8"),
    ([(("arms", 0, "code"), "EVER")], "arms", "EVER, PBO", "same number of characters"),
    ([(("arms", 0, "code"), "EVE\n")], "arms[0].code", '"EVE\\n"', "capital letters"),
    ([(("arms", 0, "code"), "ЕVE")], "arms[0].code", '"ЕVE"', "capital letters"),  # Cyrillic E
    ([(("arms", 1, "label"), "everolimus  +  EXEMESTANE")], "arms[1].label", '"', "arms[0].label"),
    ([(("arms", 1, "label"), "")], "arms[1].label", '""', HIDDEN),
    ([(("arms", 1, "label"), " x")], "arms[1].label", '" x"', HIDDEN),
    ([(("arms", 1, "label"), "a\tb")], "arms[1].label", '"a\\tb"', "character 2 (U+0009)"),
    ([(("arms", 1, "label"), "a\u202eb")], "arms[1].label", '"a\\u202eb"', "U+202E"),
    ([(("arms", 1, "label"), "a\u200bb")], "arms[1].label", '"a\\u200bb"', "U+200B"),
    ([(("study", "title"), "a\nb")], "study.title", '"a\\nb"', "one line"),
    ([(("factors", 0, "help"), "a\x00b")], "factors[0].help", '"a\\u0000b"', "several lines"),
    ([(("study", "title"), "x" * 301)], "study.title", '"xxx', "at most 300 characters"),
    ([(("study", "code"), "Bolero-2")], "study.code", '"Bolero-2"', "small letter"),
    ([(("study", "code"), "b" * 33)], "study.code", '"bbb', "at most 32"),
    ([(("study", "max_subjects"), 704)], "study.max_subjects", "704", "705 or more"),
    ([(("factors", 1, "key"), "visceral")], "factors[1].key", '"visceral"', "factors[0].key"),
    ([(("factors", 0, "key"), "a|b")], "factors[0].key", '"a|b"', "small letter"),
    ([(("factors", 0, "key"), "a=b")], "factors[0].key", '"a=b"', "small letter"),
    ([(("factors", 0, "key"), "_a")], "factors[0].key", '"_a"', "small letter"),
    ([(("factors", 0, "levels", 0, "key"), "ja\u0300")], "factors[0].levels[0].key", '"', "a-z"),
    ([(("factors", 0, "levels", 1, "key"), "yes")], "factors[0].levels[1].key", '"yes"', "already"),
    (
        [(("factors", 0, "levels", 1, "label"), "ＹＥＳ")],
        "factors[0].levels[1].label",
        '"ＹＥＳ"',
        "levels[0].label already has it",
    ),
    ([(("factors", 0, "levels"), YES_NO[:1])], "factors[0].levels", "[{", "2 or more entries"),
    ([(("randomization", "block_sizes"), [3, 4])], "randomization.block_sizes[1]", "4", "3, 6, 9"),
    ([(("randomization", "block_sizes"), [3, 3])], "randomization.block_sizes[1]", "3", "once"),
    (
        [(("randomization", "block_sizes"), [])],
        "randomization.block_sizes",
        "[]",
        "1 or more entries",
    ),
    ([(("randomization", "method"), "permuted")], "randomization.method", '"', "permuted-blocks?"),
    ([(("randomization", "list_length"), 180)], "randomization.list_length", "180", "190 or more"),
    (cap(where={"visceral": ["maybe"]}), "caps[0].where.visceral[0]", '"maybe"', '"yes", "no"'),
    (cap(where={"visceral": ["no", "no"]}), "caps[0].where.visceral[1]", '"no"', "once"),
    (cap(where={"visceral": []}), "caps[0].where.visceral", "[]", "1 or more entries"),
    (cap(where={"age": ["yes"]}), "caps[0].where.age", '"age"', "visceral, sensitive"),
    (cap(where=["visceral"]), "caps[0].where", '["visceral"]', "table of keys"),
    (cap(limit=-1), "caps[0].limit", "-1", "0 or more"),
    (cap(limit="10"), "caps[0].limit", '"10"', "whole number"),
    (cap(countries=["France"]), "caps[0].countries[0]", '"France"', "two letters"),
    (cap(centres=[101]), "caps[0].centres[0]", "101", "text in quotes"),
    (cap(centres=["0101", "0101"]), "caps[0].centres[1]", '"0101"', "once"),
    (cap(each="stratums"), "caps[0].each", '"stratums"', "mean stratum?"),
    (cap(centres=["0101"], each="centre"), "caps[0].each", '"centre"', "one only"),
    (
        [(("caps",), [CAP, CAP | {"label": "Others"}])],
        "caps[1].key",
        '"some"',
        "caps[0].key already has it",
    ),
    ([(("eligibility", 0, "kind"), "includes")], "eligibility[0].kind", '"', "mean include?"),
    ([(("eligibility", 0, "kind"), 3)], "eligibility[0].kind", "3", '"include", "exclude"'),
    ([(("eligibility", 0, "key"), "sensitive")], "eligibility[0].key", '"', "factors[1].key"),
    ([(("baseline", 0, "key"), "er_positive")], "baseline[0].key", '"', "eligibility[1].key"),
    ([(("baseline", 0, "minimum"), 120)], "baseline[0].maximum", "120", "more than minimum"),
    ([(("baseline", 0, "minimum"), REMOVE)], "baseline[0].minimum", "nothing", "whole number"),
    ([(("baseline", 0, "choices"), YES_NO)], "baseline[0].choices", "[{", "change the type"),
    ([(("baseline", 1, "choices"), YES_NO[:1])], "baseline[1].choices", "[{", "at least 2"),
    ([(("baseline", 1, "choices"), REMOVE)], "baseline[1].choices", "nothing", "at least 2"),
    ([(("baseline", 1, "unit"), "years")], "baseline[1].unit", '"years"', "remove it"),
    (
        [(("eligibility", 0, "deviation_allowed"), 1)],
        "eligibility[0].deviation_allowed",
        "1",
        "true",
    ),
    ([(("drugs", 1, "blinded"), True)], "drugs", "2 blinded drugs", "exactly one"),
    ([(("drugs", 0, "blinded"), False)], "drugs", "0 blinded drugs", "exactly one"),
    ([(("drugs", 0, "stop_reasons"), [])], "drugs[0].stop_reasons", "[]", "1 or more entries"),
    (
        [(("drugs", 0, "stop_reasons", 1, "key"), "progression")],
        "drugs[0].stop_reasons[1].key",
        '"progression"',
        "already",
    ),
    ([(("dose_levels", 0, "drug"), "everolimus")], "dose_levels[0].drug", '"', "study_drug, exe"),
    ([(("dose_levels", 2, "order"), 4)], "dose_levels[2].order", "4", "1, 2, 3 without gap"),
    ([(("dose_levels", 1, "order"), 1)], "dose_levels[1].order", "1", "1, 2, 3 without gap"),
    (
        [(("dose_levels", 2, "tablets_per_28_days"), 28)],
        "dose_levels[2].tablets_per_28_days",
        "28",
        "must be less",
    ),
    (
        [(("dose_levels", n, "drug"), "exemestane") for n in range(3)],
        "dose_levels",
        "none of study_drug",
        "needs at least one",
    ),
    ([(("kits", "contents", "PBO"), REMOVE)], "kits.contents.PBO", "nothing", "EVE, PBO"),
    ([(("kits", "contents", "EXE"), "x")], "kits.contents.EXE", '"x"', "is no arm"),
    ([(("kits", "contents", "p|b"), "x")], 'kits.contents."p|b"', '"', "capital letters"),
    (
        [(("kits", "contents", "PBO"), "everolimus 5 mg tablets")],
        "kits.contents.PBO",
        '"everolimus 5 mg tablets"',
        "same text",
    ),
    ([(("kits", "units"), 97)], "kits.units", "97", "98 or more"),
    ([(("kits", "days"), 41)], "kits.days", "41", "42 days"),
    ([(("kits", "visit_horizon_days"), 169)], "kits.visit_horizon_days", "169", "at most 168"),
    ([(("kits", "type"), "Tablets 5 mg")], "kits.type", '"Tablets 5 mg"', "small letter"),
    ([(("schedule", "anchor"), "consent")], "schedule.anchor", '"consent"', "randomization"),
    ([(("schedule", "window_after_days"), 35)], "schedule.window_after_days", "35", "less than"),
    ([(("schedule", "window_before_days"), -1)], "schedule.window_before_days", "-1", "0 or more"),
    ([(("schedule", "reminder_days_before"), 42)], "schedule.reminder_days_before", "42", "less"),
    ([(("endpoints", 1, "code"), "PFSINV")], "endpoints[1].code", '"PFSINV"', "already"),
    ([(("endpoints", 0, "event", 1), "dead")], "endpoints[0].event[1]", '"dead"', "death?"),
    ([(("endpoints", 0, "event", 1), "progression")], "endpoints[0].event[1]", '"', "once"),
    ([(("interim", "endpoint"), "PFS")], "interim.endpoint", '"PFS"', "no end point"),
    ([(("interim", "endpoint"), "ORRINV")], "interim.endpoint", '"ORRINV"', "not time_to_event"),
    ([(("interim", "support"), "CBRIRC")], "interim.support", '"CBRIRC"', "allowed: PFSINV, PFS"),
    ([(("interim", "support"), "PFSINV")], "interim.support", '"PFSINV"', "another end point"),
    ([(("interim", "planned_events"), 761)], "interim.planned_events", "761", "760"),
    ([(("interim", "looks"), [0.6, 0.6, 1.0])], "interim.looks[1]", "0.6", "must increase"),
    ([(("interim", "looks"), [0.6, 0.9])], "interim.looks[1]", "0.9", "must be 1.0"),
    ([(("interim", "looks"), [0.0, 1.0])], "interim.looks[0]", "0.0", "more than 0"),
    ([(("interim", "looks"), [0.6, 1.1])], "interim.looks[1]", "1.1", "1.0 or less"),
    ([(("interim", "looks"), [math.nan, 1.0])], "interim.looks[0]", "NaN", "ordinary number"),
    ([(("interim", "looks"), [])], "interim.looks", "[]", "1 or more entries"),
    ([(("interim", "alpha_one_sided"), 0.5)], "interim.alpha_one_sided", "0.5", "less than 0.5"),
    ([(("recipients", 0, "receives"), ["all"])], "recipients[0].receives[0]", '"', "interim_extra"),
    ([(("recipients",), [])], "recipients", "[]", "1 or more entries"),
    ([(("release", "package_kib"), 0)], "release.package_kib", "0", "16 or more"),
]


@pytest.mark.parametrize(
    ("edits", "key", "found", "words"),
    REFUSALS,
    ids=[f"{n}-{row[1]}".replace("\n", " ") for n, row in enumerate(REFUSALS)],
)
def test_refusal_names_key_found_and_allowed(
    edits: list[tuple[tuple[str | int, ...], Any]], key: str, found: str, words: str
) -> None:
    found_there = problems(changed(*edits))
    named = [problem for problem in found_there if problem.key == key]
    assert named, [str(problem) for problem in found_there]
    assert all(problem.found.startswith(found) for problem in named)
    assert any(words in problem.message for problem in named), named


@pytest.mark.parametrize("row", REFUSALS, ids=lambda row: row[1].replace("\n", " "))
def test_refusal_is_one_printable_line_a_problem(row: tuple[Any, str, str, str]) -> None:
    with pytest.raises(DefinitionError) as refusal:
        parse_definition(text_of(changed(*row[0])), source="study.toml")
    lines = str(refusal.value).split("\n")
    assert lines == [str(problem) for problem in refusal.value.problems]
    assert all(line.isprintable() for line in lines)
    assert len(set(lines)) == len(lines)
    assert refusal.value.source == "study.toml"
