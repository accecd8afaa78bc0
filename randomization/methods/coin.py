"""A biased coin as two whole numbers, so that every language tosses it exactly alike."""

from dataclasses import dataclass
from functools import cache

from iwrs.definition.methods import coin_of

from .base import MethodError


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
        value = coin_of(probability)
        if value is None:
            raise MethodError(
                f'coin: {probability!r} is not a probability above 1/2 and at most 1, like "2/3" '
                'or "0.8".'
            )
        return cls(value.numerator, value.denominator - value.numerator)

    def weights(self, favoured: list[bool]) -> list[int]:
        """The weight of each track; tracks that are all favoured, or none, weigh the same."""
        if all(favoured) or not any(favoured):
            return [1] * len(favoured)
        return [self.favour if each else self.against for each in favoured]
