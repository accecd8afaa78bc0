"""Time-to-event outcomes of one subject at a data cut, without the arm.

Everything dated after the cut is ignored; a subject randomized after it is not part of the cut.

| PARAMCD | event (CNSR 0) | otherwise censored at |
|---|---|---|
| PFSINV | first PD by the investigator (`local`), or death from any cause, whichever is first, on or before the cut and not after the start of new anticancer therapy | last evaluable (not NE) read by the same reader before new therapy; never assessed: randomization |
| PFSIRC | the same by central radiology (`central`) | the same |
| OS | death from any cause on or before the cut | last date known alive: the latest of last contact, reads, first dose, randomization |

| CNSR | reason, first that applies |
|---|---|
| 4 | PFS: no evaluable read by that reader between randomization and new therapy |
| 2 | PFS: new anticancer therapy started on or before the cut |
| 3 | consent withdrawn or lost to follow-up on or before the cut |
| 1 | no event at the cut |

Reads before randomization are baseline and count for nothing here. A PD on the day new therapy
starts is an event; another read on that day is not used for censoring.
"""  # noqa: E501 - a table row is one line

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Literal

from dsmb.analysis.course import Course, Read, Reader

ParamCode = Literal["PFSINV", "PFSIRC", "OS"]
PARAMS: dict[ParamCode, str] = {
    "PFSINV": "Progression-free survival by investigator (days)",
    "PFSIRC": "Progression-free survival by central radiology (days)",
    "OS": "Overall survival (days)",
}
PFS_READER: dict[ParamCode, Reader] = {"PFSINV": "local", "PFSIRC": "central"}

EVENT, NO_EVENT, NEW_THERAPY, WITHDRAWN, NOT_ASSESSED = range(5)
CENSORING: dict[int, str] = {
    NO_EVENT: "Censored: no event at the data cut",
    NEW_THERAPY: "Censored: new anticancer therapy started",
    WITHDRAWN: "Censored: consent withdrawn or lost to follow-up",
    NOT_ASSESSED: "Censored: no evaluable tumour assessment after randomization",
}


@dataclass(frozen=True)
class Source:
    """Where a date was recorded: SDTM domain, variable and sequence number within the subject."""

    description: str
    domain: str
    variable: str
    sequence: int | None = None


@dataclass(frozen=True)
class Outcome:
    """One time-to-event record: `on` is ADT, `cnsr` 0 for an event, else the reason's code."""

    on: date
    cnsr: int
    description: str
    source: Source


RANDOMIZATION = Source("Randomization", "ADSL", "RANDDT")
DEATH = Source("Death", "DM", "DTHDTC")


def derive_outcome(course: Course, cut: date, param: ParamCode) -> Outcome:
    """The subject's outcome for `param` at the cut; the module's table gives the rules.

    Raises `ValueError` when the subject was randomized after the cut.
    """
    if course.randomized_on > cut:
        raise ValueError(f"subject {course.subject} was randomized after the data cut {cut}")
    if param == "OS":
        return _overall_survival(course, cut)
    return _progression_free(course, cut, PFS_READER[param])


def count_events(courses: Iterable[Course], cut: date, reader: Reader) -> int:
    """PFS events of all arms together by `reader` at the cut: for the blinded side."""
    param: ParamCode = "PFSINV" if reader == "local" else "PFSIRC"
    return sum(
        derive_outcome(course, cut, param).cnsr == EVENT
        for course in courses
        if course.randomized_on <= cut
    )


def count_deaths(courses: Iterable[Course], cut: date) -> int:
    """Deaths of all arms together on or before the cut: for the blinded side."""
    return sum(course.randomized_on <= cut and happened(course.died_on, cut) for course in courses)


def happened(when: date | None, cut: date) -> bool:
    """Whether a date is known and not after the cut."""
    return when is not None and when <= cut


def last_alive(course: Course, cut: date) -> tuple[date, Source]:
    """Last date known alive on or before the cut, death aside, and where it was recorded."""
    known = [(course.randomized_on, RANDOMIZATION)]
    if course.first_dose_on is not None:
        known.append((course.first_dose_on, Source("First dose", "EX", "EXSTDTC")))
    known += [
        (read.assessed_on, _read_source("Tumour assessment", number))
        for number, read in _numbered(course)
    ]
    if course.last_contact_on is not None:
        known.append((course.last_contact_on, Source("Last contact", "DS", "DSSTDTC")))
    # The first of equal dates wins, so that the answer does not depend on the order of entry.
    return max((item for item in known if item[0] <= cut), key=lambda item: item[0])


def _overall_survival(course: Course, cut: date) -> Outcome:
    if course.died_on is not None and course.died_on <= cut:
        return Outcome(course.died_on, EVENT, DEATH.description, DEATH)
    on, source = last_alive(course, cut)
    cnsr = WITHDRAWN if happened(course.withdrew_on, cut) else NO_EVENT
    return Outcome(on, cnsr, CENSORING[cnsr], source)


def _progression_free(course: Course, cut: date, reader: Reader) -> Outcome:
    therapy = course.new_therapy_on if happened(course.new_therapy_on, cut) else None
    last_day = min(cut, therapy) if therapy else cut
    reads = [
        (number, read)
        for number, read in _numbered(course)
        if read.reader == reader and course.randomized_on <= read.assessed_on <= last_day
    ]
    event = _first_event(course, reads, last_day)
    if event is not None:
        return event
    evaluable = [
        (number, read)
        for number, read in reads
        if read.response != "NE" and (therapy is None or read.assessed_on < therapy)
    ]
    if not evaluable:
        return Outcome(course.randomized_on, NOT_ASSESSED, CENSORING[NOT_ASSESSED], RANDOMIZATION)
    cnsr = _pfs_censoring(course, cut, therapy)
    number, last = evaluable[-1]
    source = _read_source("Last evaluable tumour assessment", number)
    return Outcome(last.assessed_on, cnsr, CENSORING[cnsr], source)


def _first_event(course: Course, reads: list[tuple[int, Read]], last_day: date) -> Outcome | None:
    progression = next(((n, read) for n, read in reads if read.response == "PD"), None)
    died_on = course.died_on
    died = died_on is not None and died_on <= last_day
    if progression and not (died and died_on and died_on < progression[1].assessed_on):
        number, read = progression
        source = _read_source("Progressive disease", number)
        return Outcome(read.assessed_on, EVENT, source.description, source)
    if died and died_on:
        return Outcome(died_on, EVENT, DEATH.description, DEATH)
    return None


def _pfs_censoring(course: Course, cut: date, therapy: date | None) -> int:
    if therapy is not None:
        return NEW_THERAPY
    return WITHDRAWN if happened(course.withdrew_on, cut) else NO_EVENT


def _numbered(course: Course) -> list[tuple[int, Read]]:
    """Reads by date, then reader, numbered from 1: the sequence number that SRCSEQ refers to."""
    ordered = sorted(course.reads, key=lambda read: (read.assessed_on, read.reader))
    return list(enumerate(ordered, start=1))


def _read_source(description: str, number: int) -> Source:
    return Source(description, "RS", "RSDTC", number)
