"""The vectorised weights are those of the methods that make real lists, on random states."""

from fractions import Fraction

import numpy as np
import pytest

from randomization.methods import METHODS, Minimization, Sequential, from_json
from randomization.methods import Coin as PureCoin
from randomization.simulation.engine import allocate, walk_of
from randomization.simulation.entry import same_entry
from randomization.simulation.rules import Coin, by_counts, distances, track_arms
from tests.simulation.play import BIG_STICK, COMPLETE, EFRON, URN

RNG = np.random.default_rng(20261128)
SEQUENTIAL = (
    COMPLETE, EFRON, EFRON | {"coin": "0.55"}, BIG_STICK, BIG_STICK | {"bound": 1},
    URN, URN | {"start": 0}, URN | {"start": 0, "added": 4},
)  # fmt: skip


@pytest.mark.parametrize("method", SEQUENTIAL, ids=str)
@pytest.mark.parametrize("tracks", [2, 3, 5])
def test_weights_by_counts(method: dict[str, object], tracks: int) -> None:
    pure = from_json(method)
    assert isinstance(pure, Sequential)
    counts = RNG.integers(0, 6, (400, tracks))
    counts[:20] = 0
    counts[20:30] = 3
    weights = by_counts(method)(counts)
    for state, found in zip(counts.tolist(), weights.tolist(), strict=True):
        wanted = pure.weights(state)
        assert [Fraction(each, sum(found)) for each in found] == [
            Fraction(each, sum(wanted)) for each in wanted
        ]


@pytest.mark.parametrize("kind", ["range", "variance", "total"])
@pytest.mark.parametrize("tracks", [2, 3, 6])
def test_imbalance_of_one_factor(kind: str, tracks: int) -> None:
    """Scores may differ by what all tracks share; what is the least must not."""
    pure = Minimization(kind, "4/5")
    counts = RNG.integers(0, 9, (300, tracks))
    for state, found in zip(counts, distances(counts, kind).tolist(), strict=True):
        wanted = [pure.score({"f": state.tolist()}, track) for track in range(tracks)]
        assert [each - min(found) for each in found] == [each - min(wanted) for each in wanted]


@pytest.mark.parametrize("kind", ["range", "variance", "total"])
def test_a_whole_course_of_minimization_is_decided_alike(kind: str) -> None:
    method = {"method": "minimization", "imbalance": kind, "coin": "4/5", "weights": {"b": 3}}
    pure, arms = from_json(method), (("X", 1), ("Y", 2), ("Z", 1))
    assert isinstance(pure, Minimization)
    levels = {"a": RNG.integers(0, 2, 60).tolist(), "b": RNG.integers(0, 3, 60).tolist()}
    points = [int(each) for each in RNG.integers(0, 2**53, 60)]
    margins: dict[tuple[str, int], list[int]] = {}
    wanted = []
    for place, point in enumerate(points):
        mine = {f: margins.setdefault((f, at[place]), [0] * 4) for f, at in levels.items()}
        decision = pure.decide(arms, mine, point)
        for counts in mine.values():
            counts[decision.track] += 1
        wanted.append("XYZ".index(decision.arm))
    drawn = np.array(points)[:, None] / 2**53
    found = allocate(method, (1, 2, 1), same_entry(60, levels, [2, 3], 1), drawn, drawn)
    assert found.arms[:, 0].tolist() == wanted


@pytest.mark.parametrize("text", ["2/3", "0.8", "1", "999/1000"])
def test_coins_have_the_same_odds(text: str) -> None:
    assert Coin.of(text) == Coin(PureCoin.of(text).favour, PureCoin.of(text).against)


def test_tracks_are_laid_out_alike_and_no_method_is_missing() -> None:
    assert track_arms((4, 2)).tolist() == [0, 0, 1]
    entry = same_entry(3, {"a": [0, 0, 0]}, [1], 2)
    given: dict[str, dict[str, object]] = {
        "permuted-blocks": {"block_sizes": [3]},
        "complete": COMPLETE,
        "efron": EFRON,
        "big-stick": BIG_STICK,
        "urn": URN,
        "minimization": {"imbalance": "range", "coin": "1"},
    }
    assert set(given) == set(METHODS)
    for name, keys in given.items():
        assert walk_of({"method": name} | keys, (2, 1), entry, np.zeros((3, 2)))
