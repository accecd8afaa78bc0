"""Reading a list that was made elsewhere (SAS PROC PLAN, R blockrand). Every fault is named by row.

No Django. The rows of a stratum stand in the order in which they are used. A list that is not whole
is refused: an id, a block or an arm missing here would be one that somebody else knows of.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from iwrs.table_file import Faults, read_rows

from .generator import NO_BLOCK, Entry

IMPORTED = "imported/1"
MAX_BYTES = 32 * 1024 * 1024
# What a column may be called; the first name is how R's blockrand calls it.
NAMES = {
    "id": ("id", "seq", "seqno", "unit", "randno", "number"),
    "stratum": ("stratum", "strata"),
    "block": ("block.id", "block_id", "blockid", "block"),
    "size": ("block.size", "block_size", "blocksize"),
    "arm": ("treatment", "trt", "arm"),
}
_WHAT_NOW = "Ask for a corrected file. Nothing of this one was stored."
_NEEDED = ("id", "stratum", "arm")
_NUMBER = re.compile(r"(\D*)(\d{1,9})")
_LINE = re.compile(r"(column|arm|stratum) +(.+?) *: *(\S.*)")


@dataclass(frozen=True)
class Scheme:
    """What the study expects: arms with their ratio, stratum keys, places of each at least, and the
    block sizes allowed, or None where the study's method has no blocks.
    """

    arms: tuple[tuple[str, int], ...]
    strata: tuple[str, ...]
    length: int
    block_sizes: tuple[int, ...] | None = field(repr=False)


@dataclass(frozen=True)
class Row:
    """One row of the file; `line` counts from 1 with the header."""

    line: int
    id: str
    stratum: str
    arm: str = field(repr=False)
    block: str = field(repr=False)
    size: str = field(repr=False)


def read_list(content: bytes, scheme: Scheme, words: str = "") -> tuple[Entry, ...]:
    """The places of a CSV file, strata in the scheme's order.

    `words`: one line for each name of the file that is not ours: `column arm: TRTCODE`,
    `arm 1: EVE`, `stratum A: visceral=yes`. Raises `Invalid` with every fault, by row.
    """
    faults = Faults()
    called = _called(words, faults)
    lines = read_rows(content, faults, most=MAX_BYTES)
    if len(lines) < 2 and not faults.count:
        faults.add("file", "It has no header and rows.")
    places = _columns(lines[0][1], called["column"], faults) if lines else {}
    faults.raise_any(action=_WHAT_NOW)
    rows = [_row(line, cells, places, len(lines[0][1]), faults) for line, cells in lines[1:]]
    known = [_known(row, scheme, called, faults) for row in rows if row is not None]
    by_stratum: dict[str, list[Row]] = defaultdict(list)
    for row in known:
        by_stratum[row.stratum].append(row)
    if not faults.count:  # a row with a fault would count as missing once more
        _whole(by_stratum, scheme, faults)
    faults.raise_any(action=_WHAT_NOW)
    return tuple(entry for key in scheme.strata for entry in _entries(by_stratum[key], scheme))


def _called(words: str, faults: Faults) -> dict[str, dict[str, str]]:
    """The names of columns, arms and strata of the file, as their owner calls them."""
    called: dict[str, dict[str, str]] = {"column": {}, "arm": {}, "stratum": {}}
    for number, line in enumerate(words.splitlines(), 1):
        if not line.strip():
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None:
            faults.add(f"names, line {number}", "Write it like this: arm 1: EVE")
            continue
        kind, name, other = found.groups()
        if name in called[kind]:
            faults.add(f"names, line {number}", f"{kind} {name} is given twice.")
        if kind == "column" and name not in NAMES:
            faults.add(f"names, line {number}", f"Columns are: {', '.join(NAMES)}.")
        called[kind][name] = other
    return called


def _columns(header: list[str], called: Mapping[str, str], faults: Faults) -> dict[str, int]:
    """Where each of our columns stands in the file. Others are passed over."""
    small = [name.lower() for name in header]
    places = {}
    for column, names in NAMES.items():
        wanted = (called[column].lower(),) if column in called else names
        found = [at for at, name in enumerate(small) if name in wanted]
        if len(found) > 1:
            faults.add("header", f"{len(found)} columns could be {column}: {', '.join(wanted)}.")
        elif found:
            places[column] = found[0]
        elif column in _NEEDED or column in called:
            faults.add("header", f"No column is {column}: {', '.join(wanted)}.")
    return places


def _row(
    line: int, cells: list[str], places: Mapping[str, int], width: int, faults: Faults
) -> Row | None:
    if len(cells) != width:
        faults.add(f"row {line}", f"It has {len(cells)} cells; the header has {width}.")
        return None
    values = {column: cells[at] for column, at in places.items()}
    empty = [column for column, value in values.items() if not value]
    if empty:
        faults.add(f"row {line}", f"{', '.join(empty)}: empty.")
        return None
    return Row(line, **({"block": "", "size": ""} | values))


def _known(
    row: Row, scheme: Scheme, called: Mapping[str, Mapping[str, str]], faults: Faults
) -> Row:
    """The row with our names for arm and stratum."""
    arm = called["arm"].get(row.arm, row.arm)
    stratum = called["stratum"].get(row.stratum, row.stratum)
    arms = [code for code, _ in scheme.arms]
    if arm not in arms:
        faults.add(f"row {row.line}, arm", f"{arm[:40]} is no arm. Arms: {', '.join(arms)}.")
    if stratum not in scheme.strata:
        shown = ", ".join(scheme.strata[:8])
        faults.add(f"row {row.line}, stratum", f"{stratum[:60]} is no stratum. Strata: {shown}.")
    return Row(row.line, row.id, stratum, arm, row.block, row.size)


def _whole(by_stratum: Mapping[str, Sequence[Row]], scheme: Scheme, faults: Faults) -> None:
    """Nothing is missing, twice or out of place, in any stratum."""
    for stratum in scheme.strata:
        rows = by_stratum.get(stratum, [])
        if not rows:
            faults.add(f"stratum {stratum}", "It has no row.")
            continue
        if len(rows) < scheme.length:
            faults.add(
                f"stratum {stratum}", f"It has {len(rows)} rows; at least {scheme.length} needed."
            )
        _ids(rows, faults)
        if scheme.block_sizes is not None:
            _blocks(rows, scheme, faults)


def _ids(rows: Sequence[Row], faults: Faults) -> None:
    """Ids count up by one from row to row, with the same text before the number."""
    before: tuple[str, int] | None = None
    for row in rows:
        found = _NUMBER.fullmatch(row.id)
        if found is None:
            faults.add(f"row {row.line}, id", f"{row.id[:40]} does not end with a number.")
            before = None
            continue
        text, number = found[1], int(found[2])
        if before is not None and (text, number) != (before[0], before[1] + 1):
            what = "given twice or out of order" if number <= before[1] else "after a gap"
            faults.add(
                f"row {row.line}, id", f"{row.id} is {what}: {before[0]}{before[1]} is before."
            )
        before = (text, number)


def _blocks(rows: Sequence[Row], scheme: Scheme, faults: Faults) -> None:
    """Each block is in one piece, of an allowed size, of the size it says, and in the ratio."""
    assert scheme.block_sizes is not None
    whole, seen = sum(ratio for _, ratio in scheme.arms), set[str]()
    for block, members in groupby(rows, lambda row: row.block):
        group = list(members)
        where, size = f"row {group[0].line}, block", len(group)
        if not block:
            faults.add(where, "The study's method is blocks: the file needs a column of blocks.")
            return
        if block in seen:
            faults.add(where, f"Block {block[:40]} of stratum {group[0].stratum} came before.")
        seen.add(block)
        wrong = [row for row in group if row.size and row.size != str(size)]
        if wrong:
            faults.add(f"row {wrong[0].line}, size", f"It says {wrong[0].size[:10]}, not {size}.")
        if size not in scheme.block_sizes:
            allowed = ", ".join(str(each) for each in scheme.block_sizes)
            faults.add(where, f"It has {size} rows; allowed are {allowed}.")
        arms = Counter(row.arm for row in group)
        if any(arms[code] * whole != ratio * size for code, ratio in scheme.arms):
            counted = ", ".join(f"{code} {arms[code]}" for code, _ in scheme.arms)
            faults.add(where, f"It is not in the ratio: {counted}.")


def _entries(rows: Sequence[Row], scheme: Scheme) -> Iterator[Entry]:
    """Positions and blocks counted from 1."""
    number, last = 0, ""
    for position, row in enumerate(rows, 1):
        if scheme.block_sizes is not None and row.block != last:
            number, last = number + 1, row.block
        yield Entry(row.stratum, position, number or NO_BLOCK, row.arm)
