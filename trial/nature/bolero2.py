"""The published figures of BOLERO-2 that the simulation is fitted to.

Source: Baselga et al., N Engl J Med 2011, doi 10.1056/NEJMoa1109653, text and tables 1 to 3.
Counts are patients, medians are months of 30.4375 days, rates are fractions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

FIRST_RANDOMIZED = date(2009, 6, 4)
LAST_RANDOMIZED = date(2011, 1, 28)
CUT = date(2011, 2, 11)
SUBJECTS, CENTRES = 724, 189
DAYS_PER_MONTH = 30.4375
SCAN_INTERVAL_DAYS = 42
SCREEN_FAILURES_PER_SUBJECT = 60 / SUBJECTS

EVE, PBO = "EVE", "PBO"
EVE_SUBJECTS, PBO_SUBJECTS = 485, 239
VISCERAL_SHARE, SENSITIVE_SHARE = 405 / SUBJECTS, 608 / SUBJECTS
STRATA = (("yes", "yes"), ("yes", "no"), ("no", "yes"), ("no", "no"))
HAZARD_RATIO_LOCAL, HAZARD_RATIO_CENTRAL = 0.43, 0.36


def stratum_key(visceral: str, sensitive: str) -> str:
    """Name of a stratum, as the randomization list writes it."""
    return f"visceral={visceral}|sensitive={sensitive}"


@dataclass(frozen=True, slots=True)
class Counts:
    """Exact counts of one arm at the data cut (tables 2 and 3, patient flow)."""

    local_events: int
    central_events: int
    deaths: int
    never_dosed: int
    on_treatment: int
    study_drug_adverse_event_stops: int
    exemestane_adverse_event_stops: int
    local_responders: int
    local_complete: int
    central_responders: int
    local_median: float
    central_median: float
    best_response_progression: float


@dataclass(frozen=True, slots=True)
class Course:
    """Parameters of a course drawn freely, without calibration (days and probabilities).

    The values are near what calibration finds for the full trial.
    """

    shape: float
    scale: float
    death_gap: float
    confirmed: float
    study_drug_adverse_event_stop: float
    exemestane_adverse_event_stop: float
    responds: float


COUNTS: Mapping[str, Counts] = {
    EVE: Counts(202, 114, 52, 3, 227, 92, 34, 46, 2, 34, 6.9, 10.6, 0.099),
    PBO: Counts(157, 104, 31, 1, 69, 10, 7, 1, 0, 1, 2.8, 4.1, 0.314),
}
COURSES: Mapping[str, Course] = {
    EVE: Course(1.1, 270.0, 420.0, 0.54, 0.21, 0.08, 0.12),
    PBO: Course(0.95, 105.0, 620.0, 0.64, 0.05, 0.03, 0.01),
}
COMMON_COURSE = Course(1.0, 190.0, 500.0, 0.58, 0.15, 0.06, 0.08)

DEATH_SHARE = 0.06
"""Share of latent events that are a death before any progression was seen."""
DROP_OUT_SIX_MONTHS = 0.08
LOG_HAZARD_VISCERAL, LOG_HAZARD_NOT_SENSITIVE = 0.25, 0.30
NEVER_DOSED_SHARE = 4 / SUBJECTS
MISSED_SCAN, LOCAL_NOT_EVALUABLE, CENTRAL_NOT_EVALUABLE = 0.010, 0.012, 0.025
OUT_OF_WINDOW, OUT_OF_WINDOW_LATE = 0.03, 0.12
"""Share of scans 8 to 14 days off the plan: up to visit 5, and later, when discipline fades."""
NEW_THERAPY_AFTER_PROGRESSION = 0.65

STOP_REASONS = (
    "progression",
    "adverse_event",
    "consent_withdrawn",
    "lost_to_follow_up",
    "other",
    "death",
)
"""Why a drug was stopped; "other" is the physician's decision to change the therapy."""

NOT_ELIGIBLE = (
    "her2_negative",
    "refractory_to_nsai",
    "measurable_or_lytic",
    "ecog_0_to_2",
    "organ_function",
    "brain_metastases",
    "previous_exemestane",
    "previous_mtor_inhibitor",
    "chemotherapy_lines",
    "withdrew_before_randomization",
)
"""The eligibility question whose answer was wrong, or the last: eligible, but withdrew."""
