"""Central radiology and deaths after progression.

Central review confirms a local progression at the same scan, sees it one scan earlier, or does
not confirm it. A patient who dies after a progression that was not confirmed has started a new
therapy before, so that the death is no central event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .bolero2 import Counts
from .course import NEVER, NotFeasibleError, Progress, Schedule
from .streams import Bools, Floats, Ints
from .survival import median_months

SLOPES = np.round(np.arange(-2.0, 2.01, 0.1), 1)
EARLIER_SHARES = (0.04, 0.08, 0.12, 0.16, 0.20)
DEFAULT_EARLIER_SHARE = 0.12
DEATH_MINIMUM_GAP = 14
KEPT = 6


@dataclass(frozen=True, slots=True)
class CentralCourse:
    """Central result: scan that showed progression (or -1), event day, last evaluable scan."""

    scan_index: Ints
    day: Ints
    last: Ints

    @property
    def event(self) -> Bools:
        """Progression by central review, or death without it."""
        return self.day < NEVER

    @property
    def days(self) -> Ints:
        """Analysis time in days: AVAL = ADT - RANDDT + 1."""
        return np.where(self.event, self.day, self.last) + 1

    @property
    def median(self) -> float:
        """Kaplan-Meier median in months."""
        return median_months(self.days, self.event)


def pick(key: Floats, among: Bools, count: int) -> Bools:
    """Mask of the ``count`` subjects of ``among`` with the smallest keys."""
    inside = np.flatnonzero(among)
    if not 0 <= count <= inside.size:
        raise NotFeasibleError(f"{count} subjects asked of {inside.size} candidates")
    chosen = np.zeros(key.size, dtype=np.bool_)
    chosen[inside[np.argsort(key[inside], kind="stable")[:count]]] = True
    return chosen


def evaluable(plan: Schedule, local: Progress) -> Bools:
    """Scans that central review can evaluate: all that showed a local progression, most others."""
    usable = plan.central.copy()
    rows = np.flatnonzero(local.progressed)
    usable[rows, local.scan_index[rows]] = True
    return usable


def review(
    draws: Mapping[str, Floats],
    plan: Schedule,
    local: Progress,
    confirmed: Bools,
    earlier_share: float,
) -> CentralCourse:
    """Central course, given whose local progression is confirmed."""
    usable = evaluable(plan, local)
    rows = np.arange(local.day.size)
    before = usable & (plan.scan < local.day[:, None])
    previous = np.where(before, np.arange(plan.scan.shape[1]), -1).max(axis=1)
    moved = (draws["earlier"] < earlier_share) & (previous >= 0)
    index = np.where(confirmed, np.where(moved, previous, local.scan_index), -1)
    seen = plan.scan[rows, index]
    day = np.where(confirmed, seen, np.where(local.died, local.day, NEVER))
    watched = usable & (plan.scan <= local.day[:, None]) & (plan.scan < plan.limit[:, None])
    last = np.where(watched, plan.scan, 0).max(axis=1)
    return CentralCourse(scan_index=index, day=day, last=last)


def central_fits(
    draws: Mapping[str, Floats], plan: Schedule, local: Progress, target: Counts
) -> list[CentralCourse]:
    """Central courses of one arm with the exact count, nearest to the published median first.

    Who is confirmed is a weighted draw: weight exp(slope * day of progression / 100).
    """
    confirmations = target.central_events - int(local.died.sum())
    found = []
    for slope in SLOPES.tolist():
        weight = np.exp(slope * (np.minimum(local.day, 700) - 120) / 100)
        confirmed = pick(-np.log(draws["confirm"]) / weight, local.progressed, confirmations)
        found += [review(draws, plan, local, confirmed, share) for share in EARLIER_SHARES]
    medians = [course.median for course in found]
    order = np.argsort(np.abs(np.array(medians) - target.central_median), kind="stable")
    nearest = [found[i] for i in order[:KEPT] if np.isfinite(medians[i])]
    if not nearest:
        raise NotFeasibleError("central review reaches no median")
    return nearest


def death_days(draws: Mapping[str, Floats], local: Progress, gap: float | Floats) -> Ints:
    """Day of death of each subject, unless the cut comes first: ``gap`` is the mean in days."""
    wait = DEATH_MINIMUM_GAP + np.ceil(-np.log(draws["death_gap"]) * gap).astype(np.int64)
    return np.where(local.died, local.day, np.where(local.progressed, local.day + wait, NEVER))


def death_gap_for(
    draws: Mapping[str, Floats], plan: Schedule, local: Progress, deaths: int
) -> float:
    """Mean days from progression to death that gives exactly ``deaths`` up to the cut."""
    low, high = 1.0, 100_000.0
    for _ in range(60):
        gap = float(np.sqrt(low * high))
        count = int((death_days(draws, local, gap) <= plan.horizon).sum())
        if count == deaths:
            return gap
        low, high = (gap, high) if count > deaths else (low, gap)
    raise NotFeasibleError(f"no mean gives {deaths} deaths")
