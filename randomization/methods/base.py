"""What every method of randomization is, and how a draw becomes a track."""

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import accumulate
from math import gcd
from typing import ClassVar, Protocol

Arms = tuple[tuple[str, int], ...]


class MethodError(ValueError):
    """A method cannot be used with these parameters. For unblinded staff only: it names them."""


class Words(Protocol):
    """A stream of random words (`randomization.listing.keystream.KeyStream`)."""

    def word(self) -> int:
        """The next word, 0 to 2^32 - 1."""

    def below(self, bound: int) -> int:
        """A uniform integer from 0 to bound - 1."""


class Method(Protocol):
    """One method with its parameters.

    name: as in a study file. algorithm: name and version; what it produces never changes under
    one name. blocks: whether its places come in blocks.
    """

    name: ClassVar[str]
    algorithm: ClassVar[str]
    blocks: ClassVar[bool]

    def check(self, arms: Arms, length: int) -> None:
        """Raise `MethodError` unless the parameters are right for these arms and so many places."""

    def runs(self, arms: Arms, words: Words) -> Iterator[list[str]]:
        """The contents of one list's places, without end; a list never stops within a run."""

    @property
    def longest_run(self) -> int:
        """Places in a run at most."""


class Sequential:
    """A method that looks only at how often each track was used so far in the stratum.

    A subclass gives `weights`. Arms of unequal ratio are laid out in `tracks` of equal ratio, and
    no track differs from another but by its count: so each allocation by itself has the ratio's
    probabilities. Source: Kuznetsova and Tymofyeyev, Stat Med 31 (2012) 701.
    """

    blocks: ClassVar[bool] = False
    longest_run: int = 1

    def weights(self, counts: Sequence[int]) -> list[int]:
        """For each track the whole number to which its probability is proportional."""
        raise NotImplementedError

    def check(self, arms: Arms, length: int) -> None:
        """Any arms will do, unless a subclass says otherwise."""

    def runs(self, arms: Arms, words: Words) -> Iterator[list[str]]:
        """One place after the other, each drawn with the weights of its moment."""
        lanes = tracks(arms)
        counts = [0] * len(lanes)
        while True:
            weights = self.weights(counts)
            chosen = track_at(weights, words.below(sum(weights)))
            counts[chosen] += 1
            yield [lanes[chosen]]


def tracks(arms: Arms) -> tuple[str, ...]:
    """The arm of each track: arms in their order, each as often as its share of the ratio.

    2:1 gives (A, A, B), and so does 4:2.
    """
    common = reduce(gcd, (ratio for _, ratio in arms))
    return tuple(code for code, ratio in arms for _ in range(ratio // common))


def track_at(weights: Sequence[int], point: int) -> int:
    """The first track, from 0, whose weight and those before it together exceed `point`."""
    for track, reached in enumerate(accumulate(weights)):
        if reached > point:
            return track
    raise ValueError(f"The point {point} is beyond the sum of the weights, {sum(weights)}.")


def require_whole(name: str, value: object, least: int, most: int) -> None:
    """Raise `MethodError` unless `value` is a whole number from `least` to `most`."""
    if type(value) is not int or not least <= value <= most:
        raise MethodError(f"{name}: {value!r} is not a whole number from {least} to {most}.")
