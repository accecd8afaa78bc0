"""One attempt at a trial with the published counts, and how far it is from the published rest.

The counts are met exactly by construction; medians, hazard ratios and the share that progressed
at the first scan are approached by choosing among fits, and by trying other draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from . import bolero2
from .bolero2 import COUNTS, EVE
from .calibrate import Fit, fits
from .central import CentralCourse, central_fits, death_days, death_gap_for
from .cohort import Cohort, drawn
from .course import NEVER, NotFeasibleError, Progress, Schedule, subset
from .streams import Floats, Ints
from .survival import hazard_ratio

# distances that count as one: hazard ratio, months, share of an arm
_ONE_HAZARD_RATIO, _ONE_MEDIAN, _ONE_LONG_MEDIAN, _ONE_SHARE = 0.006, 0.05, 0.15, 0.04


@dataclass(frozen=True, slots=True)
class Draft:
    """Draws, plan, both readers' courses, days of death, and the distance to the targets."""

    draws: Mapping[str, Floats]
    plan: Schedule
    local: Progress
    central: CentralCourse
    death: Ints
    reached: Mapping[str, float]
    distance: float


def _ratio(cohort: Cohort, parts: Sequence[Progress | CentralCourse]) -> float:
    columns = _joined(parts, cohort, ("days", "event"))
    treated = cohort.groups[0].rows
    return hazard_ratio(columns["days"], columns["event"], treated, cohort.strata)


def _joined(
    parts: Sequence[Progress | CentralCourse], cohort: Cohort, names: Sequence[str]
) -> dict[str, Any]:
    """Columns of the arms put back into the order of randomization."""
    joined = {}
    for name in names:
        columns = [getattr(part, name) for part in parts]
        column = np.empty(cohort.strata.size, dtype=columns[0].dtype)
        for group, values in zip(cohort.groups, columns, strict=True):
            column[group.rows] = values
        joined[name] = column
    return joined


def _local_distance(fit: Fit, arm: str) -> float:
    first_scan = float((fit.progress.scan_index == 0).mean())
    return (
        abs(fit.median - COUNTS[arm].local_median) / _ONE_MEDIAN
        + abs(first_scan - COUNTS[arm].best_response_progression) / _ONE_SHARE
    )


def _central_distance(course: CentralCourse, arm: str) -> float:
    one = _ONE_LONG_MEDIAN if arm == EVE else _ONE_MEDIAN
    return abs(course.median - COUNTS[arm].central_median) / one


def _nearest(
    cohort: Cohort, candidates: Sequence[Sequence[tuple[Any, float]]], target: float
) -> tuple[tuple[Any, ...], float, float]:
    """The pair (one course an arm) nearest to medians and hazard ratio, the latter, the distance.

    ``candidates``: for each arm, courses with their own distances.
    """
    found = []
    for pair in product(*candidates):
        courses = tuple(course for course, _ in pair)
        ratio = _ratio(cohort, courses)
        distance = sum(d for _, d in pair) + abs(ratio - target) / _ONE_HAZARD_RATIO
        found.append((courses, ratio, distance))
    return min(found, key=lambda each: each[2])


def attempt(cohort: Cohort, number: int, *, within: float = np.inf) -> Draft:
    """One set of draws, calibrated.

    Raises NotFeasibleError when the counts cannot be met, or when the local course alone is
    ``within`` or more away from its targets.
    """
    draws, plan = drawn(cohort, number)
    arms = [group.arm or "" for group in cohort.groups]
    parts = [subset(draws, plan, group.rows) for group in cohort.groups]
    found = [fits(*part, COUNTS[arm]) for part, arm in zip(parts, arms, strict=True)]
    local, ratio, apart = _nearest(
        cohort,
        [
            [(fit.progress, _local_distance(fit, arm)) for fit in some]
            for some, arm in zip(found, arms, strict=True)
        ],
        bolero2.HAZARD_RATIO_LOCAL,
    )
    if apart >= within:
        raise NotFeasibleError("a nearer attempt is known")
    reviewed = [
        [
            (course, _central_distance(course, arm))
            for course in central_fits(*part, one, COUNTS[arm])
        ]
        for part, one, arm in zip(parts, local, arms, strict=True)
    ]
    central, central_ratio, more = _nearest(cohort, reviewed, bolero2.HAZARD_RATIO_CENTRAL)
    return Draft(
        draws=draws,
        plan=plan,
        local=Progress(**_joined(local, cohort, Progress.__slots__)),
        central=CentralCourse(**_joined(central, cohort, CentralCourse.__slots__)),
        death=_deaths(cohort, parts, local),
        reached=_reached(cohort, local, central, ratio, central_ratio, number),
        distance=apart + more,
    )


def _deaths(
    cohort: Cohort,
    parts: Sequence[tuple[dict[str, Floats], Schedule]],
    local: Sequence[Progress],
) -> Ints:
    """Days of death, with the published number of deaths in each arm up to the cut."""
    death = np.full(cohort.strata.size, NEVER)
    for group, part, one in zip(cohort.groups, parts, local, strict=True):
        gap = death_gap_for(*part, one, COUNTS[group.arm or ""].deaths)
        death[group.rows] = death_days(part[0], one, gap)
    return death


def _reached(
    cohort: Cohort,
    local: Sequence[Progress],
    central: Sequence[CentralCourse],
    ratio: float,
    central_ratio: float,
    number: int,
) -> dict[str, float]:
    """Figures of the draft, named as in ``Nature.reached``."""
    figures = {"hazard_ratio_local": ratio, "hazard_ratio_central": central_ratio}
    for group, one, reviewed in zip(cohort.groups, local, central, strict=True):
        arm = (group.arm or "").lower()
        figures[f"subjects_{arm}"] = float(group.rows.sum())
        for reader, course in (("local", one), ("central", reviewed)):
            figures[f"events_{reader}_{arm}"] = float(course.event.sum())
            figures[f"median_{reader}_{arm}"] = course.median
    return {**figures, "attempt": float(number)}
