"""Turns the arrays of the simulation into dated courses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from . import bolero2
from .accrual import Arrivals, office_instant, working_day
from .bolero2 import NOT_ELIGIBLE, STOP_REASONS
from .course import NEVER, Schedule
from .model import Answer, PatientCourse, ScreenFailure, Stop, VisitCourse
from .response import RESPONSES
from .streams import SCREEN_FAILURE_PHASE, Bools, Floats, Ints, uniforms
from .treatment import Treatment

READ_LAG_DAYS = (3, 18)


@dataclass(frozen=True, slots=True)
class Outcome:
    """All arrays of the simulated courses; rows are subjects in order of randomization."""

    plan: Schedule
    treatment: Treatment
    there: Bools
    local_codes: Ints
    central_codes: Ints
    death: Ints
    contacts: Ints
    read_lag: Floats


def strata_answers(stratum: int) -> dict[str, str]:
    """Answers to the two stratification questions."""
    visceral, sensitive = bolero2.STRATA[stratum]
    return {"visceral": visceral, "sensitive": sensitive}


def _date(origin: date, day: int) -> date | None:
    return None if day >= NEVER else origin + timedelta(days=day)


def _stop(origin: date, day: int, reason: int) -> Stop | None:
    return None if day >= NEVER else Stop(origin + timedelta(days=day), STOP_REASONS[reason])


def _visits(outcome: Outcome, i: int, origin: date) -> tuple[VisitCourse, ...]:
    """Attended visits. A read is not later than the cut: the readers clear their queue by then."""
    stop = int(outcome.treatment.drug_stop[i])
    shortest, longest = READ_LAG_DAYS
    visits = []
    for k in np.flatnonzero(outcome.there[i]).tolist():
        day = int(outcome.plan.scan[i, k])
        on = origin + timedelta(days=day)
        lag = shortest + int((longest - shortest) * outcome.read_lag[i, k])
        visits.append(
            VisitCourse(
                number=k + 1,
                on=on,
                local_response=RESPONSES[outcome.local_codes[i, k]],
                central_response=RESPONSES[outcome.central_codes[i, k]],
                central_read_on=min(on + timedelta(days=lag), bolero2.CUT),
                dispensed=day < stop,
            )
        )
    return tuple(visits)


def _patient(
    i: int,
    arrivals: Arrivals,
    outcome: Outcome,
    answers: dict[str, str],
    arm: str | None,
    deviation: bool,
    row: dict[str, Answer],
) -> PatientCourse:
    origin = arrivals.randomized_at[i].date()
    treatment = outcome.treatment
    visits = _visits(outcome, i, origin)
    calls = tuple(origin + timedelta(days=d) for d in outcome.contacts[i].tolist() if d < NEVER)
    columns = (
        treatment.handed_over,
        treatment.first_dose,
        treatment.new_therapy,
        treatment.withdrawal,
    )
    handed_over, first_dose, new_therapy, withdrawal = (_date(origin, int(c[i])) for c in columns)
    drug = _stop(origin, int(treatment.drug_stop[i]), int(treatment.drug_reason[i]))
    exemestane = _stop(
        origin, int(treatment.exemestane_stop[i]), int(treatment.exemestane_reason[i])
    )
    stops = [stop.on for stop in (drug, exemestane) if stop is not None]
    single = [d for d in (handed_over, first_dose, new_therapy, withdrawal) if d is not None]
    return PatientCourse(
        centre=arrivals.centres[int(arrivals.centre[i])].number,
        screened_at=arrivals.screened_at[i],
        consent_on=arrivals.consent_on[i],
        strata=answers,
        her2_deviation=deviation,
        baseline=row,
        randomized_at=arrivals.randomized_at[i],
        arm_used_by_nature=arm,
        visits=visits,
        study_drug_stop=drug,
        exemestane_stop=exemestane,
        death_on=_date(origin, int(outcome.death[i])),
        survival_contacts=calls,
        kit_handed_over_on=handed_over,
        first_dose_on=first_dose,
        new_therapy_on=new_therapy,
        withdrawal_on=withdrawal,
        last_contact_on=max([origin, *calls, *stops, *single, *(v.on for v in visits)]),
    )


def patients(
    arrivals: Arrivals,
    outcome: Outcome,
    strata: Ints,
    arms: Sequence[str | None],
    deviations: frozenset[int],
    rows: Sequence[dict[str, Answer]],
) -> tuple[PatientCourse, ...]:
    """All courses, in order of randomization."""
    return tuple(
        _patient(
            i, arrivals, outcome, strata_answers(int(strata[i])), arms[i], i in deviations, rows[i]
        )
        for i in range(strata.size)
    )


def screen_failures(
    seed: int, count: int, arrivals: Arrivals, rows: Sequence[Mapping[str, Answer]], strata: Ints
) -> tuple[ScreenFailure, ...]:
    """People screened beside the randomized: each resembles a randomized one, a few days later.

    The screening is on or after that subject's own, so the centre was open, and before the cut.
    """
    failures = []
    for j in range(count):
        u = uniforms(seed, SCREEN_FAILURE_PHASE, j, 5)
        i = int(u[0] * strata.size)
        twin = arrivals.screened_at[i].date()
        shift = (twin - bolero2.FIRST_RANDOMIZED).days + 1 + int(9 * u[1])
        on = bolero2.FIRST_RANDOMIZED + timedelta(days=int(working_day(np.array([shift]))[0]))
        centre = arrivals.centres[int(arrivals.centre[i])]
        failures.append(
            ScreenFailure(
                centre=centre.number,
                screened_at=office_instant(on, centre.time_zone, float(u[2])),
                consent_on=on - timedelta(days=int(3 * u[3])),
                strata=strata_answers(int(strata[i])),
                baseline={name: rows[i][name] for name in ("age", "race")},
                why_not=NOT_ELIGIBLE[int(u[4] * len(NOT_ELIGIBLE))],
            )
        )
    return tuple(sorted(failures, key=lambda f: (f.screened_at, f.centre)))
