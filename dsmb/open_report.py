"""The open report of a data cut: facts of all subjects together, for the open session of the
committee. It holds no comparison (FDA guidance on data monitoring committees 2006, 4.2).

Everything is read from what blinded people record and see; nothing here knows an arm, nor that a
code was broken. Outcomes are given over the whole study only: those of one centre, beside a
subject whose code is broken there, would tell too much. By centre and country there are accrual
and the quality of the data, and no more.

The closed report, which compares the arms, is another document: the extract that is sealed for the
study's recipients (`dsmb/unblinded/package.py`).
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from django.db import connection

from dsmb.models import DataCut
from dsmb.services import EVENTS_SQL, EventCount, event_count, planned_looks
from iwrs.definition import Schedule, StudyDefinition
from iwrs.models import Study

FORMAT = "iwrs-open-report/1"
_SQL = Path(__file__).parent / "sql"
_CENTRES = (_SQL / "open_report_centres.sql").read_text(encoding="utf-8")
_STUDY = (_SQL / "open_report_study.sql").read_text(encoding="utf-8")
# One statement sees one state: a fact recorded meanwhile is in all tables, or in none.
_ALL = f"""
    SELECT (SELECT json_agg(c ORDER BY c.number) FROM ({_CENTRES}) c),
           (SELECT json_agg(s) FROM ({_STUDY}) s (what, of_what, number)),
           events.*
      FROM ({EVENTS_SQL}) events
"""  # noqa: S608 - our own files

Cell = int | str
Rows = tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Table:
    """Some numbers under one title. The first column names the row, the others are numbers or
    words; `note` says how they were counted.
    """

    key: str
    title: str
    columns: tuple[str, ...]
    rows: Rows
    note: str = ""

    @property
    def labelled(self) -> list[list[tuple[str, Cell]]]:
        """Each row as (column, cell), for a page that shows it on a phone."""
        return [list(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True)
class OpenReport:
    """The numbers of one data cut, in the order in which they are read."""

    study: str
    cut_on: date
    simulated: bool
    tables: tuple[Table, ...]

    @property
    def canonical_json(self) -> str:
        """The numbers as JSON with sorted keys and no spaces: equal text, equal numbers."""
        told = {
            "format": FORMAT,
            "study": self.study,
            "cut": self.cut_on.isoformat(),
            "simulated": self.simulated,
            "tables": {t.key: {"columns": t.columns, "rows": t.rows} for t in self.tables},
        }
        return json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @property
    def sha256(self) -> str:
        """Of the numbers, whoever made the copy and when: two copies are compared by it."""
        return hashlib.sha256(self.canonical_json.encode()).hexdigest()


@dataclass(frozen=True)
class _AtCentre:
    """One row of `open_report_centres.sql`, by the names of its columns."""

    number: str
    name: str
    country_code: str
    country_name: str
    screened: int
    failed: int
    randomized: int
    due: int
    done: int
    missed: int
    outside: int
    late: int

    @property
    def open(self) -> int:
        """Visits of which nothing was recorded by the cut."""
        return self.due - self.done - self.missed


Counts = dict[tuple[str, str], int]


def open_report(study: Study, cut: DataCut) -> OpenReport:
    """Count what happened in a study up to the day of a cut, at each centre by its own calendar.

    One query, however many subjects there are.
    """
    definition = study.definition
    given: dict[str, int | date] = {
        "study": study.pk,
        "on": cut.cut_on,
        "every": definition.schedule.every_days,
        "fresh_from": cut.cut_on - timedelta(days=_longest_gap(definition.schedule)),
    }
    with connection.cursor() as cursor:
        cursor.execute(_ALL, given)
        at_centres, of_study, *events = cursor.fetchone()
    centres = [_AtCentre(**row) for row in at_centres or ()]
    counts = {(row["what"], row["of_what"]): row["number"] for row in of_study}
    tables = (
        _subjects(definition, centres),
        _months(counts),
        _countries(centres),
        _centres(centres),
        *_strata(definition, counts),
        _quality(definition, centres, counts),
        _events(definition, event_count(definition, *events), counts),
        _looks(study),
        _drugs(definition, counts),
    )
    return OpenReport(study.code, cut.cut_on, study.simulated, tables)


def _longest_gap(schedule: Schedule) -> int:
    """Days from a visit at the beginning of its window to the next at the end of its own: nobody
    who keeps to the schedule goes longer without an assessment.
    """
    return schedule.window_before_days + schedule.every_days + schedule.window_after_days


def _total(centres: Iterable[_AtCentre], name: str) -> int:
    return sum(getattr(each, name) for each in centres)


def _subjects(definition: StudyDefinition, centres: list[_AtCentre]) -> Table:
    screened, failed, randomized = (
        _total(centres, name) for name in ("screened", "failed", "randomized")
    )
    rows = (
        ("Screened", screened),
        ("Screen failures", failed),
        ("Randomized", randomized),
        ("Still in screening", screened - failed - randomized),
        ("Planned to be randomized", definition.study.planned_subjects),
    )
    note = "A person who was screened again is counted at each screening."
    return Table("subjects", "Subjects", ("State", "Subjects"), rows, note)


def _months(counts: Counts) -> Table:
    new = {of: number for (what, of), number in counts.items() if what == "month"}
    rows, total = [], 0
    for month in _calendar(min(new), max(new)) if new else ():
        total += new.get(month, 0)
        rows.append((f"{date.fromisoformat(f'{month}-01'):%B %Y}", new.get(month, 0), total))
    return Table("months", "Randomized by month", ("Month", "New", "Total"), tuple(rows))


def _calendar(first: str, last: str) -> Iterator[str]:
    """Every month from `2010-11` to `2011-02`, both included."""
    year, month = map(int, first.split("-"))
    while (text := f"{year:04d}-{month:02d}") <= last:
        yield text
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)


_ACCRUAL = ("Screened", "Screen failures", "Randomized")
_FRESH = ("Visits not recorded", "Assessment late")


def _countries(centres: list[_AtCentre]) -> Table:
    names = {each.country_code: each.country_name for each in centres}
    rows: Rows = tuple(
        (names[code], *_accrual_and_quality([c for c in centres if c.country_code == code]))
        for code in sorted(names, key=lambda code: (names[code], code))
    )
    return Table("countries", "By country", ("Country", *_ACCRUAL, *_FRESH), rows)


def _centres(centres: list[_AtCentre]) -> Table:
    rows: Rows = tuple(
        (f"{each.number} {each.name}", *_accrual_and_quality([each])) for each in centres
    )
    note = "Accrual and quality of the data only: what became of subjects is told for the study."
    return Table("centres", "By centre", ("Centre", *_ACCRUAL, *_FRESH), rows, note)


def _accrual_and_quality(some: list[_AtCentre]) -> tuple[int, ...]:
    names = ("screened", "failed", "randomized", "open", "late")
    return tuple(_total(some, name) for name in names)


def _strata(definition: StudyDefinition, counts: Counts) -> Iterator[Table]:
    for factor in definition.factors:
        rows = tuple(
            (level.label, counts.get(("level", f"{factor.key}={level.key}"), 0))
            for level in factor.levels
        )
        yield Table(
            f"factor.{factor.key}",
            factor.question,
            ("Answer", "Randomized"),
            rows,
            "As the allocation used it.",
        )


def _quality(definition: StudyDefinition, centres: list[_AtCentre], counts: Counts) -> Table:
    schedule = definition.schedule
    rows = (
        ("Approved deviations of randomized subjects", counts["deviation", ""]),
        ("Subjects marked as randomized in error", counts["in_error", ""]),
        ("Subjects whose verified stratum differs", counts["verified", ""]),
        ("Visits due", _total(centres, "due")),
        ("Visits done", _total(centres, "done")),
        ("Visits done outside the window", _total(centres, "outside")),
        ("Visits missed", _total(centres, "missed")),
        ("Visits not recorded", _total(centres, "open")),
        ("Tumour assessments, local reader", counts.get(("read", "local"), 0)),
        ("Tumour assessments, central reader", counts.get(("read", "central"), 0)),
        ("Subjects late for a tumour assessment", _total(centres, "late")),
    )
    note = (
        "Visits due after local progression, death, withdrawal or loss are not counted. Not "
        "recorded: neither done nor missed by the cut, also when the window was still open. Late: "
        "still followed for progression, and the last assessment, or randomization, is more than "
        f"{_longest_gap(schedule)} days before the cut ({schedule.every_days} days between visits, "
        f"{schedule.window_before_days} of window before and {schedule.window_after_days} after)."
    )
    return Table("quality", "Conduct and quality of the data", ("Fact", "Number"), rows, note)


def _events(definition: StudyDefinition, events: EventCount, counts: Counts) -> Table:
    by_reader = {"local": events.local, "central": events.central}
    readers = {each.reader for each in definition.endpoints}
    rows = (
        # Without reads, deaths would pass for events of a reader whom the study does not have.
        *(
            (f"Progression or death, {reader} reader", number)
            for reader, number in by_reader.items()
            if reader in readers
        ),
        ("Deaths", events.deaths),
        ("New anticancer therapy started", counts.get(("event", "new_therapy"), 0)),
        ("Consent withdrawn", counts.get(("event", "withdrawal"), 0)),
        ("Lost to follow-up", counts.get(("event", "lost"), 0)),
        ("Events that the interim analysis counts", events.primary),
        ("Events planned for the study", events.planned),
    )
    note = "Deaths are all deaths. After new anticancer therapy nothing is an event of a reader."
    return Table("events", "Events of all subjects together", ("Event", "Number"), rows, note)


def _looks(study: Study) -> Table:
    rows = tuple((f"Look {n}", events) for n, events in enumerate(planned_looks(study), start=1))
    return Table("looks", "Planned looks", ("Look", "Events"), rows)


def _drugs(definition: StudyDefinition, counts: Counts) -> Table:
    rows = tuple(
        (drug.label, counts.get(("stop", drug.key), 0), counts.get(("reduction", drug.key), 0))
        for drug in definition.drugs
    )
    return Table(
        "drugs",
        "Treatment of all subjects together",
        ("Drug", "Stopped for good", "Dose reduced"),
        rows,
        "Subjects. A subject who stops a drug stays in the study.",
    )
