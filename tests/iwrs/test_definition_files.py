"""Study files that are wrong in many ways at once, or are no study files at all."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from iwrs.definition import (
    DefinitionError,
    StudyDefinition,
    load_definition,
    parse_definition,
)
from tests.iwrs.definitions import (
    DOCUMENT,
    REMOVE,
    YES_NO,
    changed,
    problems,
    study,
    text_of,
)

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
