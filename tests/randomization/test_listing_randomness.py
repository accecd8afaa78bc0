"""The list's randomness: uniform orders, independent blocks; twins show that the tests can fail."""

import hashlib
from collections import Counter
from itertools import pairwise

import pytest
from scipy import stats

from randomization.listing import Entry, generate
from tests.randomization.designs import in_blocks

# Fixed before the first run; a chance rejection in one of the tests below has odds of about 1%.
SEEDS = [hashlib.sha256(f"uniformity {number}".encode()).digest() for number in range(4)]
SIGNIFICANCE = 0.0005
TWO_TO_ONE = (("A", 2), ("B", 1))


def blocks_of(entries: tuple[Entry, ...], stratum: str) -> list[str]:
    blocks: dict[int, str] = {}
    for entry in entries:
        if entry.stratum == stratum:
            blocks[entry.block] = blocks.get(entry.block, "") + entry.arm
    return list(blocks.values())


def blocks_of_six(seed: bytes, count: int = 3_000, stratum: str = "all") -> list[str]:
    design = in_blocks("UNIFORM", TWO_TO_ONE, (stratum,), (6,), 6 * count)
    return blocks_of(generate(design, seed), stratum)


def p_of_orders(blocks: list[str]) -> float:
    """Chi-squared over the 15 orders of AAAABB."""
    counts = Counter(blocks)
    assert all(sorted(order) == list("AAAABB") for order in counts)
    return stats.chisquare([*counts.values()] + [0] * (15 - len(counts))).pvalue


def p_of_reuse(blocks: list[str]) -> float:
    """Adjacent blocks are equal once in 15, if blocks are independent and uniform."""
    equal = sum(one == next_ for one, next_ in pairwise(blocks))
    return stats.binomtest(equal, len(blocks) - 1, 1 / 15).pvalue


def p_of_last_and_first(blocks: list[str]) -> float:
    """Last arm of a block against the first arm of the next: independent."""
    pairs = Counter((one[-1], next_[0]) for one, next_ in pairwise(blocks))
    return stats.chi2_contingency([[pairs[a, b] for b in "AB"] for a in "AB"]).pvalue


def shuffle_anywhere(items, stream):
    for place in range(len(items)):
        chosen = stream.below(len(items))
        items[place], items[chosen] = items[chosen], items[place]


def shuffle_never_in_place(items, stream):
    for last in range(len(items) - 1, 0, -1):
        chosen = stream.below(last)
        items[last], items[chosen] = items[chosen], items[last]


@pytest.mark.parametrize("seed", SEEDS)
def test_all_fifteen_orders_of_a_block_of_six_are_equally_likely(seed):
    assert p_of_orders(blocks_of_six(seed)) > SIGNIFICANCE


@pytest.mark.parametrize("biased", [shuffle_anywhere, shuffle_never_in_place])
@pytest.mark.parametrize("seed", SEEDS)
def test_twin_a_biased_shuffle_is_caught(seed, biased, monkeypatch):
    monkeypatch.setattr("randomization.methods.permuted_blocks.shuffle", biased)
    assert p_of_orders(blocks_of_six(seed)) < SIGNIFICANCE


@pytest.mark.parametrize("seed", SEEDS)
def test_a_block_tells_nothing_of_the_next(seed):
    blocks = blocks_of_six(seed)
    assert p_of_reuse(blocks) > SIGNIFICANCE
    assert p_of_last_and_first(blocks) > SIGNIFICANCE


@pytest.mark.parametrize("seed", SEEDS)
def test_twin_a_block_used_twice_is_caught(seed):
    # Uniform orders, so only the tests of neighbours can see it.
    blocks = [block for block in blocks_of_six(seed, count=1_500) for _ in range(2)]
    assert p_of_reuse(blocks) < SIGNIFICANCE
    assert p_of_last_and_first(blocks) < SIGNIFICANCE


@pytest.mark.parametrize("seed", SEEDS)
def test_strata_agree_no_more_than_by_chance(seed):
    one, two = (blocks_of_six(seed, stratum=stratum) for stratum in ("one", "two"))
    equal = sum(a == b for a, b in zip(one, two, strict=True))
    assert stats.binomtest(equal, len(one), 1 / 15).pvalue > SIGNIFICANCE


@pytest.mark.requirement("REQ-058")
@pytest.mark.parametrize("seed", SEEDS)
def test_block_sizes_are_equally_likely_and_independent(seed):
    design = in_blocks("SIZES", TWO_TO_ONE, ("all",), (3, 6, 9), 18_000)
    sizes = [len(block) for block in blocks_of(generate(design, seed), "all")]
    pairs = Counter(pairwise(sizes))
    table = [[pairs[one, next_] for next_ in (3, 6, 9)] for one in (3, 6, 9)]
    assert stats.chisquare([*Counter(sizes).values()]).pvalue > SIGNIFICANCE
    assert stats.chi2_contingency(table).pvalue > SIGNIFICANCE
