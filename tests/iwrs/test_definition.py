"""The study definition: what is accepted, what is refused and in which words, what may change."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from iwrs.definition import (
    UNSTRATIFIED,
    DefinitionError,
    Problem,
    StudyDefinition,
    UnansweredFactor,
    UnknownLevel,
    load_definition,
    parse_definition,
    plan_changes,
)

BOLERO2 = Path(__file__).resolve().parents[2] / "studies" / "bolero2.toml"
DOCUMENT = tomllib.loads(BOLERO2.read_text(encoding="utf-8"))
REMOVE = object()


def as_toml(value: Any) -> str:
    """A parsed document as TOML, in inline tables: enough for what these tests write."""
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(k)} = {as_toml(v)}" for k, v in value.items())
        return f"{{ {inner} }}"
    if isinstance(value, list):
        return f"[{', '.join(as_toml(entry) for entry in value)}]"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def text_of(document: dict[str, Any]) -> str:
    return "\n".join(f"{json.dumps(key)} = {as_toml(value)}" for key, value in document.items())


def changed(*edits: tuple[tuple[str | int, ...], Any]) -> dict[str, Any]:
    """The shipped study with some keys set to other values, or removed."""
    document = copy.deepcopy(DOCUMENT)
    for path, value in edits:
        target: Any = document
        for step in path[:-1]:
            target = target[step]
        if value is REMOVE:
            del target[path[-1]]
        elif isinstance(target, list) and path[-1] == len(target):
            target.append(value)
        else:
            target[path[-1]] = value
    return document


def problems(document: dict[str, Any]) -> list[Problem]:
    with pytest.raises(DefinitionError) as refusal:
        parse_definition(text_of(document))
    return refusal.value.problems


def study(*edits: tuple[tuple[str | int, ...], Any]) -> StudyDefinition:
    return parse_definition(text_of(changed(*edits))).definition


@pytest.fixture(scope="module")
def bolero2() -> StudyDefinition:
    return load_definition(BOLERO2).definition


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

YES_NO = [{"key": "yes", "label": "Yes"}, {"key": "no", "label": "No"}]
CAP = {"key": "some", "label": "Some of them", "limit": 10}


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


# ------------------------------------------------------------------ refusals, together


def test_all_problems_are_reported_together_in_file_order() -> None:
    document = changed(
        (("studdy",), 1),
        (("study", "max_subjects"), 10),
        (("arms", 1, "ratio"), "one"),
        (("randomization", "block_sizes"), []),
        (("kits", "contents", "PBO"), REMOVE),
        (("interim", "looks"), [0.6]),
        (("interim", "endpoint"), "PFS"),
    )
    assert [problem.key for problem in problems(document)] == [
        "studdy",
        "study.max_subjects",
        "arms[1].ratio",
        "randomization.block_sizes",
        "kits.contents.PBO",
        "interim.endpoint",
        "interim.planned_events",
        "interim.looks[0]",
    ]


def test_one_mistake_is_reported_once() -> None:
    assert len(problems(changed((("arms", 1, "ratio"), 0)))) == 1
    assert len(problems(changed((("randomization", "block_sizes"), [4])))) == 1
    assert len(problems(changed((("interim", "looks"), [math.nan, 1.0])))) == 1
    assert len(problems(changed((("drugs", 0, "stop_reasons", 0, "key"), "Other")))) == 1


def test_the_entry_of_a_list_is_named_in_words() -> None:
    [problem] = problems(changed((("arms", 1, "ratio"), 0)))
    assert str(problem) == ('arms[1].ratio (2nd [[arms]], code "PBO"): found 0; must be 1 or more')
    [problem] = problems(changed((("factors", 0, "levels", 1, "label"), "")))
    assert problem.place == '1st [[factors]], key "visceral"; 2nd entry of levels, key "no"'


@pytest.mark.parametrize(
    ("number", "words"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (12, "12th")],
)
def test_entries_are_counted_as_people_count(number: int, words: str) -> None:
    [problem] = problems(changed((("eligibility", number - 1, "question"), "")))
    assert problem.place.startswith(f"{words} [[eligibility]]")


def test_too_many_strata_are_refused() -> None:
    levels = [{"key": f"l{n}", "label": f"Level {n}"} for n in range(20)]
    factors = [{"key": f"f{n}", "question": f"Factor {n}", "levels": levels} for n in range(2)]
    [problem] = problems(changed((("factors",), factors)))
    assert (problem.key, problem.found) == ("factors", "400 strata")
    assert "at most 256" in problem.message


def test_stratum_keys_have_a_limit_of_length() -> None:
    def factors(width: int) -> list[dict[str, Any]]:
        return [
            {"key": f"f{n}".ljust(32, "x"), "question": f"Factor {n}", "levels": levels}
            for n in range(3)
            for levels in [[{"key": k.ljust(width, "x"), "label": k} for k in ("a", "b")]]
        ]

    longest = study((("factors",), factors(32))).strata()[0].key
    assert len(longest) <= 200
    extra = {"key": "g", "question": "Factor 4", "levels": YES_NO}
    [problem] = problems(changed((("factors",), [*factors(32), extra])))
    assert (problem.key, problem.found) == ("factors", "203 characters")
    assert "at most 200" in problem.message


# ------------------------------------------------------------------ files that are not TOML


@pytest.mark.parametrize(
    ("text", "key", "found"),
    [
        ("schema = 1\n[study\ncode = 1\n", "line 2", '"[study"'),
        ("schema = 1\nschema = 2\n", "line 2", '"schema = 2"'),
        ("a = 1\r\nb = \r\n", "line 2", '"b ="'),
        ('a = 1\n\nb = "open\n', "line 3", ""),
        ('a = """open\n', "line 1", '"a = '),
        ("a = 2011-13-01\n", "line 1", '"a = 2011-13-01"'),
        ('a = 1 # \u0085 \u2028\nb = "\x07"\n', "line 2", '"b = '),
        ("\ufeffschema = 1\n", "line 1", "a byte order mark"),
        ("a = " + "9" * 5000, "(file)", "a number with too many digits"),
        ("a = " + "[" * 5000, "(file)", "very deep nesting"),
        ("a = '\ud800'", "(file)", "half a character"),
        ("# " + "x" * 1_000_000, "(file)", "more than 1000000 bytes"),
    ],
    ids=[
        "open table",
        "key twice",
        "no value",
        "open text",
        "open long text",
        "no such date",
        "control character",
        "byte order mark",
        "huge number",
        "deep nesting",
        "surrogate",
        "too large",
    ],
)
def test_text_that_is_not_toml_is_refused_with_the_line(text: str, key: str, found: str) -> None:
    with pytest.raises(DefinitionError) as refusal:
        parse_definition(text)
    [problem] = refusal.value.problems
    assert problem.key.split(",")[0] == key
    assert problem.found.startswith(found)
    assert str(problem).isprintable()


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(DefinitionError, match="cannot be read") as refusal:
            load_definition(path)
        assert refusal.value.problems[0].found == str(path)


def test_a_file_in_another_encoding_is_refused_with_the_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.toml"
    path.write_bytes(b'schema = 1\n[study]\ntitle = "Andr\xe9"\n')
    with pytest.raises(DefinitionError) as refusal:
        load_definition(path)
    assert str(refusal.value) == "line 3: found byte 0xe9; the file must be saved as UTF-8"


def test_an_empty_file_names_every_table_that_is_needed() -> None:
    with pytest.raises(DefinitionError) as refusal:
        parse_definition("")
    missing = {problem.key for problem in refusal.value.problems}
    assert missing == set(DOCUMENT) - {"factors", "baseline"}


# ------------------------------------------------------------------ whatever the file holds

SCALARS = st.one_of(
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.booleans(),
    st.text(max_size=8),
    st.sampled_from(["EVE", "PBO", "yes", "PFSINV", "study_drug", "integer", "choice"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


def paths(value: Any, here: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    below: list[tuple[str | int, ...]] = []
    steps = value.items() if isinstance(value, dict) else enumerate(value)
    for step, inner in steps:
        below.append((*here, step))
        if isinstance(inner, dict | list):
            below += paths(inner, (*here, step))
    return below


@given(
    places=st.lists(st.sampled_from(paths(DOCUMENT)), min_size=1, max_size=3, unique=True),
    values=st.lists(VALUES, min_size=3, max_size=3),
)
@settings(max_examples=200, deadline=None)
def test_any_document_is_either_accepted_or_refused_in_words(
    places: list[tuple[str | int, ...]], values: list[Any]
) -> None:
    document = copy.deepcopy(DOCUMENT)
    for place, value in zip(places, values, strict=False):
        target: Any = document
        try:
            for step in place[:-1]:
                target = target[step]
            target[place[-1]] = value
        except (TypeError, KeyError, IndexError):
            continue  # an edit before this one took the place away
    refused, definition = "", None
    try:
        definition = parse_definition(text_of(document)).definition
    except DefinitionError as error:
        refused = str(error)
    assert bool(refused) is (definition is None)
    assert all(line.isprintable() for line in refused.split("\n"))
    if definition is not None:
        assert StudyDefinition.model_validate_json(definition.canonical_json()) == definition


@given(text=st.text(max_size=80))
@example(text="a.b.c = 1\n[a]\n")
@settings(max_examples=200, deadline=None)
def test_any_text_is_refused_in_words(text: str) -> None:
    with pytest.raises(DefinitionError) as refusal:
        parse_definition(text)
    assert all(str(problem).isprintable() for problem in refusal.value.problems)


@given(
    ratios=st.lists(st.integers(1, 6), min_size=2, max_size=4),
    size=st.integers(2, 60),
)
@settings(max_examples=60, deadline=None)
def test_a_block_is_accepted_exactly_if_the_ratio_divides_it(ratios: list[int], size: int) -> None:
    arms = [{"code": f"A{n}", "label": f"Arm {n}", "ratio": r} for n, r in enumerate(ratios)]
    document = changed(
        (("arms",), arms),
        (("kits", "contents"), {f"A{n}": f"Content {n}" for n in range(len(ratios))}),
        (("randomization", "block_sizes"), [size]),
    )
    if size % sum(ratios) == 0:
        assert parse_definition(text_of(document)).definition.ratio == tuple(ratios)
    else:
        assert [problem.key for problem in problems(document)] == ["randomization.block_sizes[0]"]


# ------------------------------------------------------------------ plan of changes

CHANGES: list[tuple[tuple[str | int, ...], Any, str, bool]] = [
    # path, new value, key in the plan, allowed although the list exists
    (("study", "code"), "bolero3", "study.code", False),
    (("study", "title"), "Another title", "study.title", True),
    (("study", "planned_subjects"), 700, "study.planned_subjects", True),
    (("study", "max_subjects"), 800, "study.max_subjects", True),
    (("caps",), [CAP], "caps[some]", True),
    (("arms", 0, "label"), "Everolimus", "arms[EVE].label", False),
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
