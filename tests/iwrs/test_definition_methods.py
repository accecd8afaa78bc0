"""The table `[randomization]`: the keys of each method, and what is said about wrong ones."""

from typing import Any

import pytest

from iwrs.definition import StudyDefinition, levels_in
from randomization.methods import METHODS, Minimization, method_of
from tests.iwrs.definitions import REMOVE, changed, problems, study

GOOD: dict[str, dict[str, Any]] = {
    "permuted-blocks": {"block_sizes": [3, 6]},
    "complete": {},
    "efron": {"coin": "2/3"},
    "big-stick": {"bound": 3},
    "urn": {"start": 0, "added": 1},
    "minimization": {"imbalance": "range", "coin": "0.8"},
}


def table(method: str, **keys: Any) -> tuple[tuple[str], dict[str, Any]]:
    """The whole table of a method, some keys changed."""
    made = {"method": method, "list_length": 900} | GOOD[method] | keys
    return ("randomization",), {name: value for name, value in made.items() if value is not REMOVE}


def the_problem(method: str, **keys: Any) -> str:
    found = problems(changed(table(method, **keys)))
    assert len(found) == 1, found
    return str(found[0])


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_taken_from_a_study_file(method: str) -> None:
    definition = study(table(method))
    made = method_of(definition.randomization)
    assert made.name == method
    made.check(tuple((arm.code, arm.ratio) for arm in definition.arms), 900)
    again = StudyDefinition.model_validate(definition.model_dump(mode="json"))
    assert again.randomization == definition.randomization


def test_weights_are_those_of_the_file() -> None:
    made = method_of(study(table("minimization", weights={"visceral": 3})).randomization)
    assert isinstance(made, Minimization)
    assert made.weights == (("visceral", 3),)


@pytest.mark.parametrize(
    ("method", "keys", "said"),
    [
        ("efron", {"coin": "0.5"}, 'randomization.coin: found "0.5"; must be a probability'),
        ("efron", {"coin": "two thirds"}, "randomization.coin: found"),
        ("efron", {"coin": 0.8}, "randomization.coin: found 0.8; must be text in quotes"),
        ("efron", {"coin": "1"}, "must be below 1"),
        ("efron", {"coin": REMOVE}, "randomization.coin: found nothing; this key is needed"),
        ("efron", {"block_sizes": [3]}, "unknown key; allowed here: list_length, stratify_by"),
        ("big-stick", {"bound": 0}, "randomization.bound: found 0; must be 1 or more"),
        ("big-stick", {"bounds": 3}, "did you mean bound?"),
        ("urn", {"start": -1}, "randomization.start: found -1; must be 0 or more"),
        ("urn", {"added": 1.5}, "randomization.added: found 1.5; must be a whole number"),
        ("minimization", {"imbalance": "sum"}, 'must be one of: "range", "variance", "total"'),
        ("minimization", {"weights": {"visceral": 0}}, "randomization.weights.visceral: found 0"),
        ("minimization", {"weights": {"age": 1}}, "is no factor of the study; allowed: visceral"),
        ("complete", {"stratify_by": ["site"]}, 'must be one of: "country", "region", "centre"'),
        ("complete", {"stratify_by": ["centre", "centre"]}, "may stand only once"),
        ("complete", {"stratify_by": ["region"]}, "name at least one region"),
        ("complete", {"regions": {"eu": ["Germany"]}}, "must be a country code of two letters A-Z"),
        ("complete", {"regions": {"eu": ["DE"], "dach": ["DE"]}}, "is in region eu already"),
        ("minimization", {"list_length": 700}, "must be 760 or more"),
    ],
)
def test_a_wrong_key_is_named_with_what_is_allowed(
    method: str, keys: dict[str, Any], said: str
) -> None:
    assert said in the_problem(method, **keys)


def test_a_table_without_a_method_says_that_one_is_needed() -> None:
    found = problems(changed((("randomization", "method"), REMOVE)))
    assert [problem.key for problem in found] == ["randomization.method"]


def test_minimization_without_anything_to_balance_is_refused() -> None:
    found = problems(changed(table("minimization"), (("factors",), REMOVE)))
    assert "minimization needs at least one factor" in str(found[0])


def test_a_question_may_not_have_the_name_of_a_level_of_the_centre() -> None:
    found = problems(
        changed(table("complete", stratify_by=["country"]), (("factors", 0, "key"), "country"))
    )
    assert "takes from the centre" in str(found[0])


def test_levels_of_the_centre_follow_those_of_the_answers() -> None:
    keys = {"stratify_by": ["region", "centre"], "regions": {"europe": ["DE", "FR"]}}
    definition = study(table("complete", **keys))
    here = definition.randomization.site_levels("DE", "0101")
    there = definition.randomization.site_levels("JP", "0300")
    assert (here["region"], there["region"]) == ("europe", "other")
    key = definition.stratum_key({"visceral": "yes", "sensitive": "no"}, here)
    assert key == "visceral=yes|sensitive=no|region=europe|centre=0101"
    assert levels_in(key)["centre"] == "0101"
    keys_of_all = [stratum.key for stratum in definition.strata([here, there])]
    assert len(keys_of_all) == len(set(keys_of_all)) == 8
    assert key in keys_of_all


def test_keys_of_strata_leave_room_for_the_levels_of_the_centre() -> None:
    long = [{"key": name * 32, "label": name} for name in "ab"]
    factors = [
        {"key": name * 32, "question": f"{name}?", "levels": long} for name in "xyz"
    ]  # fmt: skip
    study(table("complete"), (("factors",), factors))
    found = problems(
        changed(table("complete", stratify_by=["centre"]), (("factors",), factors))
    )  # fmt: skip
    assert "at most 200 characters" in str(found[0])
