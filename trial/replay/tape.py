"""A simulated trial as a tape of acts in the order in which they happened. No Django."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import IntEnum

from assessments.schedule import planned_visit
from iwrs.definition import Schedule
from trial.nature import Nature, PatientCourse


class Act(IntEnum):
    """What is done, in the order in which a day goes."""

    ACTIVATE = 0
    SUPPLY = 1
    SWEEP = 2
    SCREEN = 3
    FAIL = 4
    RANDOMIZE = 5
    HAND_OVER = 6
    FIRST_DOSE = 7
    MISS = 8
    VISIT = 9
    DISPENSE = 10
    CENTRAL_READ = 11
    STOP = 12
    NEW_THERAPY = 13
    CONTACT = 14
    WITHDRAWAL = 15
    DEATH = 16


@dataclass(frozen=True, order=True)
class Step:
    """One act. `who` is the index of the centre, patient or screen failure that it concerns."""

    day: date
    act: Act
    moment: datetime
    who: int = -1
    details: dict[str, object] = field(default_factory=dict, compare=False)


def tape(nature: Nature, schedule: Schedule, *, supply_every_days: int = 7) -> list[Step]:
    """Every act of the trial in order, with a supply run and a sweep each week."""
    steps = [*_centres(nature), *_failures(nature)]
    for who, patient in enumerate(nature.patients):
        steps.extend(_patient(who, patient, schedule))
    first = min(step.day for step in steps)
    day = first
    while day <= nature.cut:
        steps.append(Step(day, Act.SUPPLY, _moment_on(day)))
        steps.append(Step(day, Act.SWEEP, _moment_on(day)))
        day += timedelta(days=supply_every_days)
    return sorted(steps)


def _moment_on(day: date) -> datetime:
    # At ten in UTC it is the same day at every centre, from Hawaii to Auckland.
    return datetime.combine(day, time(10), tzinfo=UTC)


def _on(day: date, act: Act, who: int, **details: object) -> Step:
    return Step(day, act, _moment_on(day), who, details)


def _centres(nature: Nature) -> Iterator[Step]:
    for who, centre in enumerate(nature.centres):
        yield _on(centre.activated_on, Act.ACTIVATE, who)


def _failures(nature: Nature) -> Iterator[Step]:
    for who, failure in enumerate(nature.screen_failures):
        yield Step(
            failure.screened_at.date(), Act.FAIL, failure.screened_at, who, {"why": failure.why_not}
        )


def _patient(who: int, patient: PatientCourse, schedule: Schedule) -> Iterator[Step]:
    yield Step(patient.screened_at.date(), Act.SCREEN, patient.screened_at, who)
    yield Step(patient.randomized_on, Act.RANDOMIZE, patient.randomized_at, who)
    if patient.kit_handed_over_on:
        yield _on(patient.kit_handed_over_on, Act.HAND_OVER, who)
    if patient.first_dose_on:
        yield _on(patient.first_dose_on, Act.FIRST_DOSE, who)
    yield from _visits(who, patient, schedule)
    if patient.study_drug_stop:
        yield _stop(who, patient.study_drug_stop.on, "study_drug", patient.study_drug_stop.reason)
    if patient.exemestane_stop:
        yield _stop(who, patient.exemestane_stop.on, "exemestane", patient.exemestane_stop.reason)
    for day in patient.survival_contacts:
        yield _on(day, Act.CONTACT, who)
    for act, moment in (
        (Act.NEW_THERAPY, patient.new_therapy_on),
        (Act.WITHDRAWAL, patient.withdrawal_on),
        (Act.DEATH, patient.death_on),
    ):
        if moment:
            yield _on(moment, act, who)


def _visits(who: int, patient: PatientCourse, schedule: Schedule) -> Iterator[Step]:
    expected = 1
    for visit in patient.visits:
        for number in range(expected, visit.number):
            yield _on(visit.on, Act.MISS, who, number=number)
        expected = visit.number + 1
        yield _on(visit.on, Act.VISIT, who, number=visit.number, response=visit.local_response)
        # A few subjects come before the window opens: no kit can be assigned so early.
        planned = planned_visit(schedule, patient.randomized_on, visit.number)
        if visit.dispensed and visit.on >= planned.window_from:
            yield _on(visit.on, Act.DISPENSE, who, number=visit.number)
        yield _on(
            visit.central_read_on,
            Act.CENTRAL_READ,
            who,
            assessed_on=visit.on,
            response=visit.central_response,
        )


def _stop(who: int, day: date, drug: str, reason: str) -> Step:
    return _on(day, Act.STOP, who, drug=drug, reason=reason)
