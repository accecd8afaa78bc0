"""Permuted blocks: every block holds each arm exactly as often as the ratio says.

Source: Hill, BMJ 2 (1951) 616; Zelen, Journal of Chronic Diseases 27 (1974) 365; several sizes in
random order as in ICH E9 2.3.2.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from .base import Arms, MethodError, Words

MAX_BLOCK_SIZE = 10_000


@dataclass(frozen=True)
class PermutedBlocks:
    """block_sizes: the sizes allowed, each a multiple of the sum of the ratios."""

    name: ClassVar[str] = "permuted-blocks"
    algorithm: ClassVar[str] = "permuted-blocks/1"
    blocks: ClassVar[bool] = True

    # Sites must not learn block sizes (ICH E9 2.3.2), so they stay out of a printed design.
    block_sizes: tuple[int, ...] = field(repr=False)

    def check(self, arms: Arms, length: int) -> None:
        """Raise `MethodError` for a size that is no balance, too large, or given twice."""
        sizes = self.block_sizes
        if not isinstance(sizes, tuple):
            raise MethodError(f"block_sizes: must be a tuple, not {type(sizes).__name__}.")
        if not sizes:
            raise MethodError("block_sizes: has 0 members; at least 1 needed.")
        for place, size in enumerate(sizes):
            _check_size(f"block_sizes[{place}]", size, sum(ratio for _, ratio in arms))
            if size in sizes[:place]:
                raise MethodError(f"block_sizes: {size!r} is given twice; name each once.")

    @property
    def longest_run(self) -> int:
        """The largest block."""
        return max(self.block_sizes)

    def runs(self, arms: Arms, words: Words) -> Iterator[list[str]]:
        """Blocks, each of a size drawn anew, each an exact balance in random order."""
        # Sorted, so that the order in which a study file names the sizes changes nothing.
        contents = [_content(arms, size) for size in sorted(self.block_sizes)]
        while True:
            block = contents[words.below(len(contents))].copy()
            shuffle(block, words)
            yield block


def shuffle(items: list[str], words: Words) -> None:
    """Shuffle in place, uniformly over all orders: Fisher-Yates from the last place down.

    Source: Durstenfeld, Algorithm 235, Communications of the ACM 7 (1964) 420.
    """
    for last in range(len(items) - 1, 0, -1):
        chosen = words.below(last + 1)
        items[last], items[chosen] = items[chosen], items[last]


def _content(arms: Arms, size: int) -> list[str]:
    times = size // sum(ratio for _, ratio in arms)
    return [code for code, ratio in arms for _ in range(ratio * times)]


def _check_size(name: str, size: object, ratio_sum: int) -> None:
    if type(size) is not int or size < 1:
        raise MethodError(f"{name}: {size!r} is not a whole number of 1 or more.")
    if size % ratio_sum:
        raise MethodError(
            f"{name}: {size} is not a multiple of {ratio_sum}, the sum of the arms' ratios; no "
            "such block can be balanced."
        )
    if size > MAX_BLOCK_SIZE:
        raise MethodError(f"{name}: {size} is above the limit of {MAX_BLOCK_SIZE}.")
