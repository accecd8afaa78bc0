"""Efron's biased coin: the arm that is behind is the likelier one.

Source: Efron, Forcing a sequential experiment to be balanced, Biometrika 58 (1971) 403.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from .base import Arms, MethodError, Sequential
from .coin import Coin


@dataclass(frozen=True)
class Efron(Sequential):
    """coin: the probability of the track that is behind, of two; Efron took "2/3"."""

    name: ClassVar[str] = "efron"
    algorithm: ClassVar[str] = "efron/1"

    coin: str

    def check(self, arms: Arms, length: int) -> None:
        """Certainty would make every second allocation known beforehand."""
        if Coin.of(self.coin).against == 0:
            raise MethodError("coin: must be below 1, or allocations are no longer random.")

    def weights(self, counts: Sequence[int]) -> list[int]:
        """Tracks with the lowest count are favoured."""
        least = min(counts)
        return Coin.of(self.coin).weights([count == least for count in counts])
