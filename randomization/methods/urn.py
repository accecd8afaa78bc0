"""Wei's urn: strong balance at the beginning, complete randomization in the long run.

Source: Wei, The adaptive biased coin design for sequential experiments, Annals of Statistics 6
(1978) 92; Wei and Lachin, Controlled Clinical Trials 9 (1988) 345.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from .base import Arms, MethodError, Sequential, require_whole, tracks

MOST_BALLS = 2**32


@dataclass(frozen=True)
class Urn(Sequential):
    """start: balls of each track at first (alpha). added: balls of every other track that are
    added with each allocation (beta).
    """

    name: ClassVar[str] = "urn"
    algorithm: ClassVar[str] = "urn/1"

    start: int
    added: int

    def check(self, arms: Arms, length: int) -> None:
        """Raise `MethodError` for balls outside 0 to 1000, and 1 to 1000 added, or for more balls
        in the end than one word can choose among.
        """
        require_whole("start", self.start, 0, 1000)
        require_whole("added", self.added, 1, 1000)
        lanes = len(tracks(arms))
        balls = self.start * lanes + self.added * (lanes - 1) * length
        if balls > MOST_BALLS:
            raise MethodError(
                f"added: after {length} places the urn would hold {balls} balls, above the limit "
                f"of {MOST_BALLS}; add fewer, or make the list shorter."
            )

    def weights(self, counts: Sequence[int]) -> list[int]:
        """The balls in the urn; an empty one is drawn from as if it held one of each."""
        total = sum(counts)
        balls = [self.start + self.added * (total - count) for count in counts]
        return balls if any(balls) else [1] * len(counts)
