"""What a simulated trial is made of: centres, patient courses, visits.

All dates are calendar dates at the centre; instants are aware UTC datetimes chosen so that the
calendar date is the same at the centre and in UTC. Nothing is dated after the data cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

SIMULATED_NOTE = (
    "Simulated data. The courses were drawn by a program and fitted to the published margins of "
    "BOLERO-2 (Baselga et al., N Engl J Med 2011, doi 10.1056/NEJMoa1109653). They are a fixture "
    "and a demonstration, never evidence: no patient stands behind any of them."
)

Answer = str | int | None


@dataclass(frozen=True, slots=True)
class CentreSpec:
    """One centre. ``number`` is two digits of country index and two digits of centre."""

    number: str
    name: str
    country_code: str
    country_name: str
    time_zone: str
    ethics_approved_on: date
    activated_on: date


@dataclass(frozen=True, slots=True)
class Stop:
    """End of one drug: the day after which it is not taken, and why (see ``STOP_REASONS``)."""

    on: date
    reason: str


@dataclass(frozen=True, slots=True)
class VisitCourse:
    """One attended six-weekly visit with its images, read twice.

    ``number`` is the scheduled visit (1 = week 6, 2 = week 12, ...); a missed visit is absent.
    Responses are "CR", "PR", "SD", "PD" or "NE". ``dispensed``: the next kit of the blinded drug
    was handed over at this visit.
    """

    number: int
    on: date
    local_response: str
    central_response: str
    central_read_on: date
    dispensed: bool


@dataclass(frozen=True, slots=True)
class ScreenFailure:
    """A person who consented and was screened but not randomized. ``why_not`` is one of
    ``NOT_ELIGIBLE``."""

    centre: str
    screened_at: datetime
    consent_on: date
    strata: Mapping[str, str]
    baseline: Mapping[str, Answer]
    why_not: str
    eligible: bool = False


@dataclass(frozen=True, slots=True)
class PatientCourse:
    """A randomized patient from consent to the data cut.

    ``arm_used_by_nature`` is None in the nature whose courses do not depend on the arm.
    ``last_contact_on`` is the last date the patient is known to be alive.
    ``survival_contacts`` are the telephone contacts after the tumour assessments ended.
    """

    centre: str
    screened_at: datetime
    consent_on: date
    strata: Mapping[str, str]
    her2_deviation: bool
    baseline: Mapping[str, Answer]
    randomized_at: datetime
    arm_used_by_nature: str | None
    kit_handed_over_on: date | None
    first_dose_on: date | None
    visits: tuple[VisitCourse, ...]
    study_drug_stop: Stop | None
    exemestane_stop: Stop | None
    new_therapy_on: date | None
    death_on: date | None
    withdrawal_on: date | None
    survival_contacts: tuple[date, ...]
    last_contact_on: date
    eligible: bool = True
    why_not: str | None = None

    @property
    def randomized_on(self) -> date:
        """Calendar date of randomization (the same at the centre and in UTC)."""
        return self.randomized_at.date()

    @property
    def on_treatment(self) -> bool:
        """At the cut, dosed and still taking the blinded drug or exemestane."""
        dosed = self.first_dose_on is not None
        return dosed and (self.study_drug_stop is None or self.exemestane_stop is None)


@dataclass(frozen=True, slots=True)
class Nature:
    """A whole simulated trial. ``patients`` are in order of ``randomized_at``.

    ``reached`` holds what the calibration reached (counts, medians in months, hazard ratios);
    it is empty when nothing was calibrated.
    """

    cut: date
    centres: tuple[CentreSpec, ...]
    patients: tuple[PatientCourse, ...]
    screen_failures: tuple[ScreenFailure, ...]
    reached: Mapping[str, float]
    note: str = SIMULATED_NOTE
