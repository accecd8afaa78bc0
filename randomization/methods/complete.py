"""Complete randomization: every allocation is drawn alone, like a throw of dice.

Source: Rosenberger and Lachin, Randomization in Clinical Trials (Wiley 2016), chapter 3.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from .base import Sequential


@dataclass(frozen=True)
class Complete(Sequential):
    """Cannot be predicted at all, and bounds no imbalance."""

    name: ClassVar[str] = "complete"
    algorithm: ClassVar[str] = "complete/1"

    def weights(self, counts: Sequence[int]) -> list[int]:
        """The same for every track."""
        return [1] * len(counts)
