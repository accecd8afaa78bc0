"""Trials for the tests: many at once, without a database."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from randomization.simulation.engine import Allocated, allocate
from randomization.simulation.entry import Entry, same_entry
from randomization.simulation.rules import Integers

ONE_TO_ONE = (1, 1)
TWO_TO_ONE = (2, 1)

BLOCKS_OF_FOUR = {"method": "permuted-blocks", "block_sizes": [4]}
COMPLETE = {"method": "complete"}
EFRON = {"method": "efron", "coin": "2/3"}
BIG_STICK = {"method": "big-stick", "bound": 3}
URN = {"method": "urn", "start": 1, "added": 1}
MINIMIZATION = {
    "method": "minimization", "imbalance": "range", "weights": {"one": 1}, "coin": "4/5",
}  # fmt: skip
EVERY_METHOD = (BLOCKS_OF_FOUR, COMPLETE, EFRON, BIG_STICK, URN, MINIMIZATION)


def one_stratum(subjects: int, trials: int) -> Entry:
    """Everybody in one stratum and at one centre."""
    return same_entry(subjects, {}, [], trials)


def two_factors(subjects: int, trials: int, seed: int) -> Entry:
    """Two factors of two and three levels, drawn evenly, and five centres."""
    rng = np.random.default_rng(seed)
    sizes = (2, 3)
    levels = tuple(rng.integers(0, size, (subjects, trials)) for size in sizes)
    return Entry(levels, sizes, rng.integers(0, 5, (subjects, trials)), 5, ("one", "two"))


def play(
    method: Mapping[str, Any], ratio: tuple[int, ...], entry: Entry, seed: int = 20261128
) -> Allocated:
    rng = np.random.default_rng(seed)
    return allocate(method, ratio, entry, rng.random(entry.shape), rng.random(entry.shape))


def difference(arms: Integers) -> Integers:
    """Subjects on the first arm less those on the second, by trial."""
    found: Integers = (arms == 0).sum(axis=0) - (arms == 1).sum(axis=0)
    return found
