"""Numbers and order of kits, drawn at random, and the file of a packaging vendor. No Django."""

import calendar
import csv
import hashlib
import io
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from dispensing.kit_number import with_check_digit
from dispensing.unblinded.kits_csv import COLUMNS
from iwrs import clock
from iwrs.definition import StudyDefinition
from iwrs.problems import Invalid
from randomization.listing.keystream import NONCE_BYTES, KeyStream
from randomization.methods.permuted_blocks import shuffle

# The first digit is never 0: a spreadsheet would drop it.
FIRST, LAST = 100_000, 999_999


def stream(purpose: str, seed: bytes | None = None) -> KeyStream:
    """A ChaCha20 stream for one purpose ("delivery", "import"), from a new secret seed.

    A given `seed` (32 bytes) makes the order repeatable: for validation runs only.
    """
    nonce = purpose.encode("ascii").ljust(NONCE_BYTES, b"\0")
    return KeyStream(seed or secrets.token_bytes(32), nonce)


def draw_numbers(count: int, source: KeyStream, *, skip: int = 0) -> list[str]:
    """`count` different kit numbers in random order.

    `skip` leaves out the first ones of the same stream, so that the next delivery of a study can
    go on where the last one ended. Raises ValueError when there are not so many numbers.
    """
    span = LAST - FIRST + 1
    if count < 0 or skip < 0 or count + skip > span // 2:
        raise ValueError(f"At most {span // 2} kit numbers can be drawn for one study.")
    drawn: dict[int, None] = {}
    while len(drawn) < count + skip:
        drawn[FIRST + source.below(span)] = None
    return [with_check_digit(str(payload)) for payload in list(drawn)[skip:]]


def shuffled(items: list[str], source: KeyStream) -> list[str]:
    """The items in a uniformly random order; their present order does not matter."""
    ordered = sorted(items)
    shuffle(ordered, source)
    return ordered


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


def vendor_csv(
    definition: StudyDefinition,
    *,
    kits: int,
    seed: int | str | None = None,
    lots: Sequence[DeliveredLot] = (),
    skip: int = 0,
) -> str:
    """A file for `import_kits`: `kits` kits, as many of each arm in each lot, rows in random order.

    As many of each arm whatever the allocation ratio, because a lot supplies as many places as it
    has kits of its rarest arm: if kits of one arm could run out first, running out would tell.
    Without `lots` there are four, from 18 months after the business day on, six months apart.
    One `seed` gives one file; without a seed every file differs. `skip` leaves out that many
    numbers: for a second delivery with the same seed, the kits of the first.
    Raises `Invalid` when the number of kits cannot be shared out evenly.
    """
    arms = definition.arm_codes
    lots = lots or plan_lots(4, first_expiry=_months_later(clock.today(), 18), months_apart=6)
    groups = len(lots) * len(arms)
    if kits < groups or kits % groups:
        raise Invalid(
            {"kits": f"{kits} kits cannot be shared evenly by {len(lots)} lots and all arms."},
            action=f"Choose a multiple of {groups}.",
        )
    source = stream("delivery", None if seed is None else _seed_bytes(seed))
    numbers = draw_numbers(kits, source, skip=skip)
    rows = {}
    for index, number in enumerate(numbers):
        group = index // (kits // groups)
        lot, arm = lots[group // len(arms)], arms[group % len(arms)]
        rows[number] = (number, arm, lot.number, lot.expires_on.isoformat())
    return _as_csv([rows[number] for number in shuffled(numbers, source)])


def _seed_bytes(seed: int | str) -> bytes:
    return hashlib.sha256(f"kits of a delivery|{seed}".encode()).digest()


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
