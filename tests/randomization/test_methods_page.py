"""The page of the methods: its vectors, and its worked example."""

import json
import re
from pathlib import Path

import pytest

from randomization.listing import ListDesign, generate
from randomization.methods import METHODS, Minimization, from_json

PAGE = (Path(__file__).parents[2] / "docs" / "algorithms" / "methods.md").read_text("utf-8")
VECTORS = json.loads(re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)[1])
SEED = bytes.fromhex(VECTORS["seed"])
ARMS = tuple((code, ratio) for code, ratio in VECTORS["arms"])


def test_every_method_but_permuted_blocks_has_a_vector_and_all_have_a_row():
    of_page = {each["method"] for each in VECTORS["lists"] + VECTORS["minimization"]}
    assert of_page == set(METHODS) - {"permuted-blocks"}
    assert all(f"| `{method}` |" in PAGE for method in METHODS)


@pytest.mark.requirement("REQ-057")
@pytest.mark.parametrize("vector", VECTORS["lists"], ids=lambda each: str(each)[:40])
def test_lists_of_the_page(vector):
    method = from_json(vector)
    design = ListDesign(VECTORS["study"], ARMS, tuple(VECTORS["strata"]), VECTORS["length"], method)
    entries = generate(design, SEED)
    for stratum, arms in zip(VECTORS["strata"], vector["arms"], strict=True):
        assert "".join(each.arm for each in entries if each.stratum == stratum) == arms
    assert method.algorithm == vector["algorithm"]
    assert {each.block for each in entries} == {0}


@pytest.mark.parametrize("vector", VECTORS["minimization"], ids=lambda each: each["imbalance"])
def test_decisions_of_the_page(vector):
    method = from_json(vector)
    assert isinstance(method, Minimization)
    subjects = vector["decisions"]
    design = ListDesign(VECTORS["study"], ARMS, ("all",), len(subjects), method)
    draws = [int(each.arm) for each in generate(design, SEED)]
    assert draws[: len(vector["draws"])] == vector["draws"]
    margins: dict[tuple[str, str], list[int]] = {}
    for draw, (visceral, sensitive, *expected) in zip(draws, subjects, strict=True):
        mine = {
            factor: margins.setdefault((factor, level), [0, 0, 0])
            for factor, level in (("visceral", visceral), ("sensitive", sensitive))
        }
        made = method.decide(ARMS, mine, draw)
        assert [list(made.scores), list(made.weights), made.track] == expected
        for counts in mine.values():
            counts[made.track] += 1


def test_the_example_worked_by_hand():
    method = Minimization("range", "4/5", (("sex", 2),))
    made = method.decide(ARMS, {"sex": (1, 0, 1), "age": (2, 1, 1)}, 6004799503160661)
    assert (made.scores, made.weights) == ((6, 1, 5), (1, 4, 1))
    assert (made.track, made.arm) == (1, "A")
