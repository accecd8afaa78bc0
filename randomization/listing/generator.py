"""The list of any method: (design, seed) -> list, the same bytes for ever.

The algorithms are specified, with test vectors, in docs/algorithms/list.md and methods.md. Any
change to what one produces is a new algorithm name, never an edit to this one.
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from randomization.methods import Arms, Method, MethodError, as_json

from .keystream import KeyStream, require_seed, stratum_nonce

MAX_ENTRIES = 10_000_000
NO_BLOCK = 0


class ListDesignError(ValueError):
    """The design cannot give a list. The message names parameters: for unblinded staff only."""


@dataclass(frozen=True)
class ListDesign:
    """What a list is generated from, beside the seed.

    study: study code. arms: (code, ratio) pairs, at least two, order matters. strata: stratum
    keys, order matters. length: entries per stratum at least; the last block is always
    completed. method: how arms are drawn, with its parameters.
    Raises ListDesignError when any of these cannot be used.
    """

    study: str
    arms: Arms
    strata: tuple[str, ...]
    length: int
    method: Method

    def __post_init__(self) -> None:
        _check_text("study", self.study)
        _check_arms(self.arms)
        _check_strata(self.strata)
        _check_whole_number("length", self.length)
        try:
            self.method.check(self.arms, self.length)
        except MethodError as error:
            raise ListDesignError(str(error)) from None
        _check_most(self.length, len(self.strata), self.method.longest_run)

    def as_json(self) -> dict[str, Any]:
        """The design as a list's record and an exported bundle keep it."""
        plain = {name: value for name, value in asdict(self).items() if name != "method"}
        return plain | as_json(self.method)


@dataclass(frozen=True, slots=True)
class Entry:
    """One place in the list: position and block count from 1 within the stratum; block 0 where a
    method has no blocks. Of a dynamic method, `arm` is the place's draw, as a decimal number.

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
    return tuple(entry for stratum in design.strata for entry in entries_of(design, seed, stratum))


def entries_of(design: ListDesign, seed: bytes, stratum: str) -> Iterator[Entry]:
    """The entries of one stratum, in order."""
    stream = KeyStream(seed, stratum_nonce(design.method.algorithm, design.study, stratum))
    runs = design.method.runs(design.arms, stream)
    filled = 0
    for number, run in enumerate(runs, start=1):
        block = number if design.method.blocks else NO_BLOCK
        for position, arm in enumerate(run, start=filled + 1):
            yield Entry(stratum, position, block, arm)
        filled += len(run)
        if filled >= design.length:
            return


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


def _check_most(length: int, strata: int, largest_block: int) -> None:
    most = strata * (length + largest_block - 1)
    if most > MAX_ENTRIES:
        raise ListDesignError(
            f"length: {length} per stratum may give {most} entries over {strata} strata, above "
            f"the limit of {MAX_ENTRIES}; ask for fewer."
        )
