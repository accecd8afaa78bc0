"""Lists and decisions by a second implementation, written in JavaScript from the two pages alone.

`second/list.js` runs in Debian's Chromium, like the portal's own pages. It shares no line with the
generator, and no language.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from randomization.listing import ListDesign, commit, generate
from randomization.methods import from_json
from tests.randomization.test_methods_page import PAGE, SEED, VECTORS

SCRIPT = Path(__file__).with_name("second") / "list.js"
ROUND = "({ list, seed }) => { const entries = generateList({ ...list, seed });"
LIST = ROUND + " return entries.map((e) => [e.stratum, e.position, e.block, e.content]); }"
ROOT = ROUND + " return commitmentRoot({ entries, seed }); }"
DECIDE = "(asked) => asked.map((each) => decide(each))"
Run = Callable[[str, Any], Any]

TWO_TO_ONE = [["AA", 2], ["BB", 1]]
KEYS: list[dict[str, Any]] = [
    {"method": "permuted-blocks", "block_sizes": [9, 3, 6]},
    {"method": "complete"},
    {"method": "efron", "coin": "2/3"},
    {"method": "efron", "coin": "0.9"},
    {"method": "big-stick", "bound": 3},
    {"method": "urn", "start": 2, "added": 5},
    {"method": "minimization", "imbalance": "range", "coin": "4/5", "weights": {}},
]


@pytest.fixture(scope="module")
def second(chromium: Browser) -> Iterator[Run]:
    """Call a function of the script, in an empty page."""
    page = chromium.new_page()
    page.evaluate(SCRIPT.read_text(encoding="utf-8"))
    yield page.evaluate
    page.close()


def design_of(asked: dict[str, Any]) -> ListDesign:
    arms = tuple((code, ratio) for code, ratio in asked["arms"])
    strata = tuple(asked["strata"])
    return ListDesign(asked["study"], arms, strata, asked["length"], from_json(asked))


@pytest.mark.requirement("REQ-057")
@pytest.mark.parametrize("keys", KEYS, ids=str)
@pytest.mark.parametrize("arms", [TWO_TO_ONE, [["X", 1], ["Y", 1], ["Z", 1]]], ids=str)
def test_the_same_lists_entry_by_entry(second: Run, keys, arms):
    dynamic = keys["method"] == "minimization"
    strata = ["all"] if dynamic else ["visceral=yes|country=DE", "Québec", "x"]
    asked = keys | {"study": "Étude-7", "arms": arms, "strata": strata, "length": 400}
    for seed in (SEED, bytes(range(100, 132))):
        entries = generate(design_of(asked), seed)
        ours = [[e.stratum, e.position, e.block, e.arm] for e in entries]
        assert second(LIST, {"list": asked, "seed": seed.hex()}) == ours
        assert second(ROOT, {"list": asked, "seed": seed.hex()}) == commit(entries, seed).root.hex()


@pytest.mark.parametrize("vector", VECTORS["commitments"], ids=lambda each: str(each)[:60])
def test_the_roots_of_the_page(second: Run, vector):
    asked = {"study": VECTORS["study"]} | vector
    entries = generate(design_of(asked), SEED)
    assert len(entries) == vector["size"]
    assert commit(entries, SEED).root.hex() == vector["root"]
    assert second(ROOT, {"list": asked, "seed": SEED.hex()}) == vector["root"]


@pytest.mark.parametrize("vector", VECTORS["minimization"], ids=lambda each: each["imbalance"])
def test_the_same_decisions(second: Run, vector):
    method = from_json(vector)
    arms = tuple((code, ratio) for code, ratio in TWO_TO_ONE)
    asked = [
        {
            "arms": TWO_TO_ONE,
            **{key: vector[key] for key in ("imbalance", "coin", "weights")},
            "margins": {"visceral": [n % 5, n % 3, n % 7], "sensitive": [n % 4, 2, n % 6]},
            "draw": n * 12_345_678_987_654 % 2**53,
        }
        for n in range(300)
    ]
    told = second(DECIDE, asked)
    for each, said in zip(asked, told, strict=True):
        ours = method.decide(arms, each["margins"], each["draw"])
        assert (said["scores"], said["weights"]) == (list(ours.scores), list(ours.weights))
        assert (said["track"], said["arm"]) == (ours.track, ours.arm)


def test_it_is_told_from_a_changed_one(second: Run):
    """The comparison can fail: another seed, another root."""
    asked = {"study": VECTORS["study"]} | VECTORS["commitments"][0]
    assert second(ROOT, {"list": asked, "seed": bytes(32).hex()}) != asked["root"]
    assert json.dumps(VECTORS["commitments"][0])[:20] in PAGE
