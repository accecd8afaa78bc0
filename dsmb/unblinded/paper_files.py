"""What is written inside a sealed randomization pack.

Each place of a stratum stands in a file of its own, so that the desk opens one after the other.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

from dsmb.unblinded.pack_files import SIMULATED, About, text_file
from iwrs.spreadsheet import harmless
from iwrs.templatetags.portal import moment

READ_ME, LOG, STRATA, CENTRES = "READ-ME.txt", "log.csv", "strata.csv", "centres.csv"
Each = TypeVar("Each")
LOG_COLUMNS = (
    *("day and time", "caller", "called back on", "centre", "subject", "stratum"),
    *("place opened", "paper number", "kit number", "told by"),
)


@dataclass(frozen=True)
class PaperStratum:
    """A stratum and its next places: (place code, treatment as the protocol names it)."""

    label: str
    places: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class CoverLine:
    """A place of a centre's cover: last day on which it may be used, and each treatment's kit."""

    code: str
    last_on: date
    kits: tuple[str, ...]


@dataclass(frozen=True)
class PaperCentre:
    """A centre, how many of its subjects are randomized, and its next places of cover."""

    number: str
    name: str
    subjects: int
    lines: tuple[CoverLine, ...]


@dataclass(frozen=True)
class Paper:
    """The content of a randomization pack. `treatments` heads the kits of each line."""

    about: About
    treatments: tuple[str, ...]
    strata: tuple[PaperStratum, ...]
    centres: tuple[PaperCentre, ...]
    subjects: int  # randomized in the whole study


def paper_files(paper: Paper) -> dict[str, bytes]:
    """Name and content of each file of the pack."""
    files = {
        READ_ME: _read_me(paper),
        LOG: _table(LOG_COLUMNS, []),
        STRATA: _table(
            ("file", "stratum", "places"),
            [(f"{_of(n)}-place-1", s.label, len(s.places)) for n, s in _numbered(paper.strata)],
        ),
        CENTRES: _table(
            ("file", "centre", "subjects randomized so far", "lines"),
            [(f"centre-{c.number}", c.name, c.subjects, len(c.lines)) for c in paper.centres],
        ),
    }
    for number, stratum in _numbered(paper.strata):
        for at, (code, treatment) in enumerate(stratum.places, start=1):
            text = _place(paper.about, stratum.label, at, code, treatment)
            files[f"{_of(number)}-place-{at}.txt"] = text
    for centre in paper.centres:
        files[f"centre-{centre.number}.csv"] = _table(
            ("line", "cover code", "use until", *(f"kit of {each}" for each in paper.treatments)),
            [(n, x.code, x.last_on.isoformat(), *x.kits) for n, x in _numbered(centre.lines)],
        )
    return files


def _numbered(rows: Sequence[Each]) -> Iterable[tuple[int, Each]]:
    return enumerate(rows, start=1)


def _of(number: int) -> str:
    return f"stratum-{number:02d}"


def _place(about: About, stratum: str, at: int, code: str, treatment: str) -> bytes:
    return text_file(
        *([SIMULATED] if about.simulated else []),
        f"Study:       {about.study}",
        f"Stratum:     {stratum}",
        f"Place:       {at}",
        f"Place code:  {code}",
        "",
        f"TREATMENT:   {treatment}",
        "",
        "Do not say the treatment. It tells you which column of the centre's file has the kit.",
    )


def _read_me(paper: Paper) -> bytes:
    about = paper.about
    return text_file(
        "RANDOMIZATION PACK FOR THE TIME IN WHICH THE SYSTEM IS DOWN",
        *([SIMULATED] if about.simulated else []),
        "",
        f"Study:                {about.study}",
        f"Made:                 {moment(about.made_at)}",
        f"Randomization list:   {about.list_in_use}",
        f"Subjects randomized:  {paper.subjects}",
        "",
        "BEFORE THE FIRST CALL",
        "1. One desk, one log: agree who randomizes. Nobody else opens this pack.",
        "2. Call the study manager: is the number of subjects randomized in the study still the",
        "   one above? If not, or if nobody knows, do not use this pack: take a newer one, or",
        "   randomization waits. Its first places may be used already.",
        "",
        "FOR EACH SUBJECT",
        "3. Call back on a number of the hospital that is known. Check who asks, and that the",
        "   subject has signed the consent and is eligible.",
        f"4. Ask how many subjects the centre has randomized. It must be the number in {CENTRES}",
        "   and those of your log together. If not, stop as in step 2.",
        f"5. Find the subject's stratum in {STRATA}. Open its lowest place that is not in your",
        "   log, for example stratum-01-place-2.txt after stratum-01-place-1.txt. Open no other.",
        "6. Open the file of the centre, for example centre-0101.csv. Take the first line that",
        "   is not in your log, leaving out lines whose day in 'use until' is over.",
        "7. Tell the centre the kit number of the place's treatment in that line, and the paper",
        "   number: place code, hyphen, cover code, for example 7K3M-Q9TX. Never the treatment.",
        f"8. Write all of it into {LOG}, at once. Let the centre read both numbers back.",
        "",
        "When a stratum or a centre has no place left, randomization waits.",
        "",
        "WHEN THE SYSTEM IS BACK",
        "9. Stop. Tell the study manager the order of all paper numbers, without treatments, and",
        "   that accrual stays paused until all of them are entered in that order.",
        "10. Give the log to the unblinded statistician when a number is refused although all",
        "    before it are entered, and to nobody else.",
        "11. Delete the opened files. Keep the log and the sealed file. Use this pack no more. A",
        "    new one is made when all are entered and accrual is open again.",
        "",
        "padding.bin is empty space.",
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    target = io.StringIO()
    write = csv.writer(target).writerow  # ends lines as Windows does
    for row in (head, *rows):
        write([harmless(cell) for cell in row])
    return target.getvalue().encode("utf-8")
