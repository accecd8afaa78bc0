"""Minimization: the arm that would leave the margins of the subject's levels most even is favoured.

Its list holds draws, not arms: `gate.allocate` decides when the subject comes (see
`iwrs/sql/gates/1_a_minimize.sql`, which does in SQL what `decide` does here).
Source: Pocock and Simon, Biometrics 31 (1975) 103; Taves, Clin Pharmacol Ther 15 (1974) 443; for
unequal ratios Kuznetsova and Tymofyeyev, Stat Med 31 (2012) 701.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from .base import Arms, MethodError, Words, require_whole, track_at, tracks
from .coin import Coin

DRAW_BITS = 53

Margins = Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Decision:
    """How one subject was allocated: all that is needed to work it out again by hand."""

    scores: tuple[int, ...]
    weights: tuple[int, ...]
    track: int
    arm: str


@dataclass(frozen=True)
class Minimization:
    """imbalance: `range`, `variance` or `total`. weights: (factor, weight) pairs; a factor that is
    not named weighs 1. coin: the probability of the best track, of two; "1" for always.
    """

    name: ClassVar[str] = "minimization"
    algorithm: ClassVar[str] = "minimization/1"
    blocks: ClassVar[bool] = False
    longest_run: ClassVar[int] = 1

    imbalance: str
    coin: str
    weights: tuple[tuple[str, int], ...] = ()

    def check(self, arms: Arms, length: int) -> None:
        """Raise `MethodError` for an unknown imbalance, or a coin or weight out of range."""
        if self.imbalance not in IMBALANCES:
            raise MethodError(f"imbalance: must be one of {', '.join(IMBALANCES)}.")
        Coin.of(self.coin)
        for factor, weight in self.weights:
            require_whole(f"weights.{factor}", weight, 1, 1000)

    def runs(self, arms: Arms, words: Words) -> Iterator[list[str]]:
        """Draws, as decimal numbers."""
        while True:
            yield [str(draw(words))]

    def decide(self, arms: Arms, margins: Margins, point: int) -> Decision:
        """Allocate one subject.

        margins: for each factor the counts of all tracks at the subject's level, before.
        point: the draw, 0 to 2^53 - 1.
        """
        lanes = tracks(arms)
        scores = tuple(self.score(margins, track) for track in range(len(lanes)))
        weights = Coin.of(self.coin).weights([score == min(scores) for score in scores])
        chosen = track_at(weights, point * sum(weights) >> DRAW_BITS)
        return Decision(scores, tuple(weights), chosen, lanes[chosen])

    def score(self, margins: Margins, track: int) -> int:
        """The weighted imbalance over all factors if the subject were given `track`."""
        measure, weights = IMBALANCES[self.imbalance], dict(self.weights)
        return sum(
            weights.get(factor, 1) * measure(raised(counts, track), track)
            for factor, counts in margins.items()
        )


def draw(words: Words) -> int:
    """A whole number from 0 to 2^53 - 1: 32 bits of one word, then the upper 21 of the next."""
    first = words.word()
    return first << 21 | words.word() >> 11


def raised(counts: Sequence[int], track: int) -> list[int]:
    """The counts with one more for `track`."""
    return [count + (place == track) for place, count in enumerate(counts)]


def _range(counts: Sequence[int], track: int) -> int:
    return max(counts) - min(counts)


def _variance(counts: Sequence[int], track: int) -> int:
    """The variance times the square of the number of tracks: a whole number."""
    return len(counts) * sum(count * count for count in counts) - sum(counts) ** 2


def _total(counts: Sequence[int], track: int) -> int:
    return counts[track]


IMBALANCES: dict[str, Callable[[Sequence[int], int], int]] = {
    "range": _range,
    "variance": _variance,
    "total": _total,
}
