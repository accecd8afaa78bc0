"""Stratified permuted blocks: (design, seed) -> list, the same bytes for ever.

The algorithm is specified, with test vectors, in docs/algorithms/list.md. Any change to what
it produces is a new ALGORITHM name, never an edit to this one.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

from .keystream import KeyStream, require_seed, stratum_nonce

ALGORITHM = "permuted-blocks/1"
MAX_BLOCK_SIZE = 10_000
MAX_ENTRIES = 10_000_000

Arms = tuple[tuple[str, int], ...]


class ListDesignError(ValueError):
    """The design cannot give a list. The message names block sizes: for unblinded staff only."""


@dataclass(frozen=True)
class ListDesign:
    """What a list is generated from, beside the seed.

    study: study code. arms: (code, ratio) pairs, at least two, order matters. strata: stratum
    keys, order matters. block_sizes: allowed sizes, each a multiple of the sum of the ratios.
    length: entries per stratum at least; the last block is always completed.
    Raises ListDesignError when any of these cannot be used.
    """

    study: str
    arms: Arms
    strata: tuple[str, ...]
    # Sites must not learn block sizes (ICH E9 2.3.2), so they stay out of a printed design.
    block_sizes: tuple[int, ...] = field(repr=False)
    length: int

    def __post_init__(self) -> None:
        _check_text("study", self.study)
        _check_arms(self.arms)
        _check_strata(self.strata)
        _check_block_sizes(self.block_sizes, sum(ratio for _, ratio in self.arms))
        _check_length(self.length, len(self.strata), max(self.block_sizes))


@dataclass(frozen=True, slots=True)
class Entry:
    """One place in the list: position and block count from 1 within the stratum.

    The printed form leaves out block and arm, so that no log or traceback tells a treatment.
    """

    stratum: str
    position: int
    block: int = field(repr=False)
    arm: str = field(repr=False)


def generate(design: ListDesign, seed: bytes) -> tuple[Entry, ...]:
    """The whole list: strata in the design's order, positions ascending within each.

    seed: 32 secret random bytes, used for one study only. A longer `length` extends a shorter
    one; strata do not affect each other. Raises SeedError for a seed of another length.
    """
    require_seed(seed)
    entries: list[Entry] = []
    for stratum in design.strata:
        stream = KeyStream(seed, stratum_nonce(design.study, stratum))
        filled = 0
        for number, block in enumerate(_blocks(design, stream), start=1):
            for position, arm in enumerate(block, start=filled + 1):
                entries.append(Entry(stratum, position, number, arm))
            filled += len(block)
    return tuple(entries)


def shuffle(items: list[str], stream: KeyStream) -> None:
    """Shuffle in place, uniformly over all orders: Fisher-Yates from the last place down.

    Source: Durstenfeld, Algorithm 235, Communications of the ACM 7 (1964) 420.
    """
    for last in range(len(items) - 1, 0, -1):
        chosen = stream.below(last + 1)
        items[last], items[chosen] = items[chosen], items[last]


def _blocks(design: ListDesign, stream: KeyStream) -> Iterator[list[str]]:
    """Blocks of one stratum, each an exact balance in random order, until `length` is reached."""
    # Sorted, so that the order in which a design file names the sizes changes nothing.
    contents = [_block_content(design.arms, size) for size in sorted(design.block_sizes)]
    filled = 0
    while filled < design.length:
        block = contents[stream.below(len(contents))].copy()
        shuffle(block, stream)
        filled += len(block)
        yield block


def _block_content(arms: Arms, size: int) -> list[str]:
    times = size // sum(ratio for _, ratio in arms)
    return [code for code, ratio in arms for _ in range(ratio * times)]


def _check_text(name: str, text: object) -> None:
    """Refuse text whose bytes could differ between two people who see the same characters."""
    if not isinstance(text, str) or not text:
        raise ListDesignError(f"{name}: must be a text that is not empty.")
    if text != text.strip():
        raise ListDesignError(f"{name}: {text!r} begins or ends with a space; remove it.")
    # Control characters separate hashed fields (Cc); surrogates have no UTF-8 (Cs).
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        raise ListDesignError(f"{name}: {text!r} holds a control character; remove it.")
    if not unicodedata.is_normalized("NFC", text):
        raise ListDesignError(f"{name}: {text!r} is not in Unicode form NFC; normalize it.")


def _check_whole_number(name: str, value: object) -> None:
    if type(value) is not int or value < 1:
        raise ListDesignError(f"{name}: {value!r} is not a whole number of 1 or more.")


def _check_tuple(name: str, value: object, least: int) -> None:
    if not isinstance(value, tuple):
        raise ListDesignError(f"{name}: must be a tuple, not {type(value).__name__}.")
    if len(value) < least:
        raise ListDesignError(f"{name}: has {len(value)} members; at least {least} needed.")


def _check_distinct(name: str, values: tuple[object, ...]) -> None:
    seen: set[object] = set()
    for value in values:
        if value in seen:
            raise ListDesignError(f"{name}: {value!r} is given twice; name each once.")
        seen.add(value)


def _check_arms(arms: object) -> None:
    _check_tuple("arms", arms, 2)
    assert isinstance(arms, tuple)
    for place, arm in enumerate(arms):
        if not isinstance(arm, tuple) or len(arm) != 2:
            raise ListDesignError(f"arms[{place}]: must be a pair (code, ratio).")
        _check_text(f"arms[{place}] code", arm[0])
        _check_whole_number(f"arms[{place}] ratio", arm[1])
    _check_distinct("arms", tuple(code for code, _ in arms))


def _check_strata(strata: object) -> None:
    _check_tuple("strata", strata, 1)
    assert isinstance(strata, tuple)
    for place, stratum in enumerate(strata):
        _check_text(f"strata[{place}]", stratum)
    _check_distinct("strata", strata)


def _check_block_sizes(sizes: object, ratio_sum: int) -> None:
    _check_tuple("block_sizes", sizes, 1)
    assert isinstance(sizes, tuple)
    for place, size in enumerate(sizes):
        _check_whole_number(f"block_sizes[{place}]", size)
        if size % ratio_sum:
            raise ListDesignError(
                f"block_sizes[{place}]: {size} is not a multiple of {ratio_sum}, the sum of the "
                "arms' ratios; no such block can be balanced."
            )
        if size > MAX_BLOCK_SIZE:
            raise ListDesignError(
                f"block_sizes[{place}]: {size} is above the limit of {MAX_BLOCK_SIZE}."
            )
    _check_distinct("block_sizes", sizes)


def _check_length(length: object, strata: int, largest_block: int) -> None:
    _check_whole_number("length", length)
    assert isinstance(length, int)
    most = strata * (length + largest_block - 1)
    if most > MAX_ENTRIES:
        raise ListDesignError(
            f"length: {length} per stratum may give {most} entries over {strata} strata, above "
            f"the limit of {MAX_ENTRIES}; ask for fewer."
        )
