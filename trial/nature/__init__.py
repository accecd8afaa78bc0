"""Nature: how the patients of BOLERO-2 behaved, simulated for the replay of the trial.

SIMULATED DATA. The courses are fitted to the published margins of BOLERO-2 (Baselga et al.,
N Engl J Med 2011, doi 10.1056/NEJMoa1109653): a fixture and a demonstration, never evidence.

Nature knows the arm, as the bodies of patients do; the system that replays it does not. Nothing
but a replay may import this package. Random numbers come from numpy's PCG64 (see ``streams``).
"""

from .baseline import LEVELS
from .bolero2 import COUNTS, CUT, NOT_ELIGIBLE, STOP_REASONS, Counts
from .model import (
    SIMULATED_NOTE,
    CentreSpec,
    Nature,
    PatientCourse,
    ScreenFailure,
    Stop,
    VisitCourse,
)
from .response import RESPONSES
from .simulate import simulate

__all__ = [
    "COUNTS",
    "CUT",
    "LEVELS",
    "NOT_ELIGIBLE",
    "RESPONSES",
    "SIMULATED_NOTE",
    "STOP_REASONS",
    "CentreSpec",
    "Counts",
    "Nature",
    "PatientCourse",
    "ScreenFailure",
    "Stop",
    "VisitCourse",
    "simulate",
]
