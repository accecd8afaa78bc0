"""Reading a file of kits. Every fault is named by row and column, and all at once. No Django."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from dispensing import kit_number
from iwrs.table_file import Faults, read_rows

COLUMNS = ("kit_number", "content", "lot", "expiry")
MAX_BYTES = 8 * 1024 * 1024
_LOT = re.compile(r"[A-Za-z0-9][A-Za-z0-9./_-]{0,39}")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class KitRow:
    """One kit of the file. `row` is its line in the file, counted from 1 with the header."""

    row: int
    number: str
    arm: str
    lot: str
    expires_on: date


def read_kits(
    file: str | bytes, *, arms: Sequence[str], today: date, faults: Faults
) -> list[KitRow]:
    """The kits of a CSV file with exactly the columns of `COLUMNS`, in any order of rows.

    What is wrong goes into `faults`; a row with a fault is left out. `today` is the business day
    before which no kit may have expired.
    """
    lines = read_rows(file, faults, most=MAX_BYTES)
    if not lines:
        return []
    if tuple(lines[0][1]) != COLUMNS:
        faults.add("header", _wrong_header(lines[0][1]))
        return []
    if len(lines) == 1:
        faults.add("file", "It has a header and no kits.")
    kits = [_kit(row, cells, arms, today, faults) for row, cells in lines[1:]]
    rows = [kit for kit in kits if kit is not None]
    _numbers_once(rows, faults)
    _one_expiry(rows, faults)
    if len(rows) == len(kits):  # a row left out could be the one that a lot seems to lack
        _every_arm(rows, arms, faults)
    return rows


def _wrong_header(found: list[str]) -> str:
    expected = ",".join(COLUMNS)
    missing = [name for name in COLUMNS if name not in found]
    extra = [name or "(no name)" for name in found if name not in COLUMNS]
    parts = [f"The first row must be: {expected}."]
    if missing:
        parts.append(f"Missing: {', '.join(missing)}.")
    if extra:
        parts.append(f"Not expected: {', '.join(extra)[:200]}.")
    return " ".join(parts)


def _kit(
    row: int, cells: list[str], arms: Sequence[str], today: date, faults: Faults
) -> KitRow | None:
    if len(cells) != len(COLUMNS):
        faults.add(f"row {row}", f"It has {len(cells)} columns; there must be {len(COLUMNS)}.")
        return None
    number, arm, lot, expiry = cells
    before = faults.count
    if problem := kit_number.fault(number):
        faults.at(row, "kit_number", problem)
    if arm not in arms:
        faults.at(row, "content", f"This is no arm of the study. Allowed: {', '.join(arms)}.")
    if not _LOT.fullmatch(lot):
        faults.at(row, "lot", "A lot is up to 40 letters, digits and the signs . / _ -")
    day = _day(expiry)
    if day is None:
        faults.at(row, "expiry", "This is not a date. Write year-month-day, as in 2010-06-30.")
    elif day < today:
        faults.at(row, "expiry", f"{day.isoformat()} is in the past.")
    if faults.count > before or day is None:
        return None
    return KitRow(row, number, arm, lot, day)


def _day(text: str) -> date | None:
    if not _DAY.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _numbers_once(rows: list[KitRow], faults: Faults) -> None:
    first: dict[str, int] = {}
    for kit in rows:
        if first.setdefault(kit.number, kit.row) != kit.row:
            faults.at(kit.row, "kit_number", f"The same number is in row {first[kit.number]}.")


def _one_expiry(rows: list[KitRow], faults: Faults) -> None:
    first: dict[str, KitRow] = {}
    for kit in rows:
        known = first.setdefault(kit.lot, kit)
        if known.expires_on != kit.expires_on:
            faults.at(kit.row, "expiry", f"Lot {kit.lot} has another expiry in row {known.row}.")


def _every_arm(rows: list[KitRow], arms: Sequence[str], faults: Faults) -> None:
    """Kits of every arm in every lot of the file: else the lot, or the delivery, tells the arm."""
    found: dict[str, set[str]] = {}
    for kit in rows:
        found.setdefault(kit.lot, set()).add(kit.arm)
    for lot, present in found.items():
        if len(present) < len(arms):
            faults.add(
                f"lot {lot}",
                f"It has kits of {len(present)} of the {len(arms)} arms. "
                "Every lot of a file must have kits of every arm.",
            )
