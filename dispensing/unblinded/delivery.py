"""What a packaging vendor delivers: a file of kits of every arm in lots that tell nothing."""

import calendar
import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from dispensing.unblinded.kits_csv import COLUMNS
from dispensing.unblinded.numbers import draw_numbers, shuffled, stream
from iwrs.problems import Invalid


@dataclass(frozen=True)
class DeliveredLot:
    """A packaging lot: its number and the one expiry that kits of every arm share."""

    number: str
    expires_on: date


def plan_lots(
    count: int, *, first_expiry: date, months_apart: int, prefix: str = "L"
) -> list[DeliveredLot]:
    """Lots in order of expiry. Each but the first expires at the end of a month."""
    lots = []
    for index in range(count):
        expires_on = _months_later(first_expiry, index * months_apart)
        lots.append(DeliveredLot(f"{prefix}{index + 1:02d}", expires_on))
    return lots


def make_delivery(
    arms: Sequence[str],
    *,
    kits: int,
    lots: Sequence[DeliveredLot],
    seed: bytes | None = None,
    skip: int = 0,
) -> str:
    """A file for `import_kits`: `kits` kits, as many of each arm in each lot, rows in random order.

    As many of each arm whatever the allocation ratio, because a lot supplies as many places as it
    has kits of its rarest arm: if kits of one arm could run out first, running out would tell.
    Raises `Invalid` when the number of kits cannot be shared out evenly.
    """
    groups = len(lots) * len(arms)
    if groups == 0 or kits < groups or kits % groups:
        raise Invalid(
            {"kits": f"{kits} kits cannot be shared evenly by {len(lots)} lots and all arms."},
            action=f"Choose a multiple of {groups}.",
        )
    source = stream("delivery", seed)
    numbers = draw_numbers(kits, source, skip=skip)
    each = kits // groups
    rows = {}
    for index, number in enumerate(numbers):
        lot_index, arm_index = divmod(index // each, len(arms))
        lot = lots[lot_index]
        rows[number] = (number, arms[arm_index], lot.number, lot.expires_on.isoformat())
    return _as_csv([rows[number] for number in shuffled(numbers, source)])


def _as_csv(rows: list[tuple[str, str, str, str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return text.getvalue()


def _months_later(first: date, months: int) -> date:
    if months == 0:
        return first
    year, month = divmod(first.year * 12 + first.month - 1 + months, 12)
    return date(year, month + 1, calendar.monthrange(year, month + 1)[1])
