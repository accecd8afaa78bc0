"""A biased coin as two whole numbers, so that every language tosses it exactly alike."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from .base import MethodError

LARGEST = 1000  # of a coin's denominator


@dataclass(frozen=True)
class Coin:
    """The odds of a favoured track against another: probability 2/3 is 2 against 1.

    Between more than two tracks the odds hold between any favoured and any other, so a favoured
    track is always the likelier, however many there are.
    """

    favour: int
    against: int

    @classmethod
    @cache  # asked once for every place of a list
    def of(cls, probability: str) -> "Coin":
        """From a probability written as "2/3" or "0.8". Raises `MethodError` for anything else."""
        try:
            value = Fraction(probability)
        except (ValueError, ZeroDivisionError):
            raise MethodError(f'coin: {probability!r} is not like "2/3" or "0.8".') from None
        if not Fraction(1, 2) < value <= 1 or value.denominator > LARGEST:
            raise MethodError(
                f"coin: {probability!r} must be above 1/2, at most 1, and have a denominator "
                f"of at most {LARGEST}."
            )
        return cls(value.numerator, value.denominator - value.numerator)

    def weights(self, favoured: list[bool]) -> list[int]:
        """The weight of each track; tracks that are all favoured, or none, weigh the same."""
        if all(favoured) or not any(favoured):
            return [1] * len(favoured)
        return [self.favour if each else self.against for each in favoured]
