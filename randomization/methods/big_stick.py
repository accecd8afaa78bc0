"""Big stick: complete randomization between two walls.

Source: Soares and Wu, Some restricted randomization rules in sequential designs, Communications
in Statistics - Theory and Methods 12 (1983) 2017.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from .base import Arms, Sequential, require_whole


@dataclass(frozen=True)
class BigStick(Sequential):
    """bound: how far a track may be ahead of the one furthest behind."""

    name: ClassVar[str] = "big-stick"
    algorithm: ClassVar[str] = "big-stick/1"

    bound: int

    def check(self, arms: Arms, length: int) -> None:
        """Raise `MethodError` for a bound outside 1 to 1000."""
        require_whole("bound", self.bound, 1, 1000)

    def weights(self, counts: Sequence[int]) -> list[int]:
        """Every track alike but those that are as far ahead as the bound allows."""
        least = min(counts)
        return [int(count - least < self.bound) for count in counts]
