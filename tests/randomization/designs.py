"""Designs of lists, short to write in a test."""

from randomization.listing import ListDesign
from randomization.methods import Arms, PermutedBlocks


def in_blocks(
    study: str, arms: Arms, strata: tuple[str, ...], block_sizes: tuple[int, ...], length: int
) -> ListDesign:
    """A list of permuted blocks."""
    return ListDesign(study, arms, strata, length, PermutedBlocks(block_sizes))
