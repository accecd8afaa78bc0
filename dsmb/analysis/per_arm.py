"""What is said of one arm alone at a data cut: counts, events, censoring, median."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from dsmb.analysis.counting import NotEstimable
from dsmb.analysis.course import Arm, SubjectRecord
from dsmb.analysis.outcome import EVENT, Outcome, ParamCode, derive_outcome, happened
from dsmb.analysis.survival import Median, kaplan_meier, median


@dataclass(frozen=True)
class ArmCounts:
    """Subjects of one arm at the cut; `on_treatment`: drug started, not stopped, alive."""

    arm: Arm
    randomized: int
    treated: int
    on_treatment: int
    deaths: int


@dataclass(frozen=True)
class ArmOutcome:
    """One end point in one arm: events, censored subjects by CNSR code, median in days."""

    arm: Arm
    subjects: int
    events: int
    censored: dict[int, int]
    median: Median | NotEstimable


@dataclass(frozen=True)
class Times:
    """One end point of all subjects, in the order of the records; `days` from 1."""

    days: tuple[int, ...]
    event: tuple[int, ...]
    outcomes: tuple[Outcome, ...]


def times_of(param: ParamCode, records: Sequence[SubjectRecord], cut: date) -> Times:
    """Days to event or censoring of every subject; the arm does not come into it."""
    outcomes = tuple(derive_outcome(record.course, cut, param) for record in records)
    return Times(
        days=tuple(
            (outcome.on - record.course.randomized_on).days + 1
            for record, outcome in zip(records, outcomes, strict=True)
        ),
        event=tuple(int(outcome.cnsr == EVENT) for outcome in outcomes),
        outcomes=outcomes,
    )


def counts_of(arm: Arm, records: Sequence[SubjectRecord], cut: date) -> ArmCounts:
    courses = [record.course for record in records if record.arm == arm]
    treated = [course for course in courses if happened(course.first_dose_on, cut)]
    return ArmCounts(
        arm=arm,
        randomized=len(courses),
        treated=len(treated),
        on_treatment=sum(
            not happened(course.drug_stopped_on, cut) and not happened(course.died_on, cut)
            for course in treated
        ),
        deaths=sum(happened(course.died_on, cut) for course in courses),
    )


def outcome_of(arm: Arm, records: Sequence[SubjectRecord], times: Times) -> ArmOutcome:
    """The end point in this arm; `times` in the order of `records`."""
    mine = [i for i, record in enumerate(records) if record.arm == arm]
    event = [times.event[i] for i in mine]
    cnsr = [times.outcomes[i].cnsr for i in mine]
    reasons = Counter(code for code in cnsr if code != EVENT)
    events = sum(event)
    middle: Median | NotEstimable = NotEstimable("there are no events in this arm")
    if events:
        middle = median(kaplan_meier([times.days[i] for i in mine], event))
    return ArmOutcome(arm, len(mine), events, dict(sorted(reasons.items())), middle)
