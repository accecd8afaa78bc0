"""The weights of each method for many trials at once.

A method that looks at the counts of one stratum is a function of an array whose last axis are the
tracks (docs/simulation.md): counts so far in, whole weights out. `randomization.methods` says the
same for one state, in plain Python; the tests hold the two together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Weigh = Callable[[Integers], Integers]


def shares(ratio: tuple[int, ...]) -> tuple[int, ...]:
    """The ratio in lowest terms: how many tracks each arm has."""
    return tuple(each // gcd(*ratio) for each in ratio)


def track_arms(ratio: tuple[int, ...]) -> Integers:
    """The arm of each track, by its place in the ratio: 2:1 gives 0, 0, 1."""
    return np.repeat(np.arange(len(ratio)), shares(ratio))


@dataclass(frozen=True)
class Coin:
    """A coin of whole weights: `favour` for what is preferred, `against` for everything else."""

    favour: int
    against: int

    @classmethod
    def of(cls, text: str) -> Coin:
        """From a fraction or a decimal, for example "2/3" or "0.8"."""
        chance = Fraction(text)
        return cls(chance.numerator, chance.denominator - chance.numerator)


def complete(counts: Integers) -> Integers:
    """Every track has the same weight, whatever happened."""
    return np.ones_like(counts)


def efron(coin: Coin) -> Weigh:
    """Biased coin: the tracks with the fewest subjects are favoured, unless all have the same.

    Source: Efron B, Biometrika 1971;58:403.
    """

    def weigh(counts: Integers) -> Integers:
        least = counts.min(axis=-1, keepdims=True)
        level = counts.max(axis=-1, keepdims=True) == least
        return np.where(level, 1, np.where(counts == least, coin.favour, coin.against))

    return weigh


def big_stick(bound: int) -> Weigh:
    """A fair draw, except that no track gets more than `bound` ahead of the last.

    Source: Soares JF, Wu CFJ, Commun Stat Theory Methods 1983;12:2017.
    """

    def weigh(counts: Integers) -> Integers:
        ahead = counts - counts.min(axis=-1, keepdims=True)
        return (ahead < bound).astype(np.int64)

    return weigh


def urn(start: int, added: int) -> Weigh:
    """Wei's urn: `start` balls of each track; a draw adds `added` balls of each other track.

    Source: Wei LJ, J Am Stat Assoc 1978;73:559.
    """

    def weigh(counts: Integers) -> Integers:
        balls = start + added * (counts.sum(axis=-1, keepdims=True) - counts)
        return np.where(balls.sum(axis=-1, keepdims=True) == 0, 1, balls)

    return weigh


def by_counts(method: Mapping[str, Any]) -> Weigh:
    """The rule of a method that looks at the counts of one stratum; `method` as in a study file."""
    match method["method"]:
        case "complete":
            return complete
        case "efron":
            return efron(Coin.of(method["coin"]))
        case "big-stick":
            return big_stick(method["bound"])
        case "urn":
            return urn(method["start"], method["added"])
    raise ValueError(f"{method['method']!r} is not a method that looks at the counts of a stratum")


def distances(counts: Integers, kind: str) -> Integers:
    """The imbalance that each track would make, were it to get the subject.

    counts: tracks on the last axis, the subjects of one factor's level so far. kind: "range",
    "variance" (times a constant, so that it stays whole) or "total" (the track's own count).
    Source: Pocock SJ, Simon R, Biometrics 1975;31:103; Taves DR, Clin Pharmacol Ther 1974;15:443.
    """
    tracks = counts.shape[-1]
    if kind == "total":
        return counts + 1
    if kind == "variance":
        # R sum c^2 - (sum c)^2 with one more for the track; only its own term depends on it.
        total, squares = (each.sum(axis=-1, keepdims=True) for each in (counts, counts**2))
        return tracks * (squares + 2 * counts + 1) - (total + 1) ** 2
    if kind == "range":
        raised = counts[..., None, :] + np.eye(tracks, dtype=np.int64)
        return raised.max(axis=-1) - raised.min(axis=-1)
    raise ValueError(f"{kind!r} is no measure of imbalance; use range, variance or total")
