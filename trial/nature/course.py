"""What happens to the subjects, as arrays: one row a subject, days counted from randomization.

A latent event is drawn from a Weibull distribution. A progression is *seen* only at the first
evaluable scan after it; a death is dated to the day. "Never" is the day ``NEVER``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from . import bolero2
from .accrual import Arrivals
from .streams import Bools, Floats, Ints
from .survival import median_months

NEVER = 1_000_000
SCANS = 14
EARLIEST_DEATH = 8

COURSE_COLUMNS = {
    **dict.fromkeys(("latent", "death", "drop_out", "drop_out_kind", "never_dosed"), 1),
    **dict.fromkeys(("jitter", "tail", "missed", "local_ne", "central_ne", "read_lag"), SCANS),
    **dict.fromkeys(("confirm", "earlier", "death_gap", "new_therapy", "therapy_gap"), 1),
    **dict.fromkeys(("ae", "ae_both", "ae_day", "ae_gap"), 1),
    **dict.fromkeys(("respond", "respond_start", "complete", "central_respond"), 1),
    "contact": 3,
}

# days early or late, and how likely, of a scan inside its window
_JITTER = np.array([-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7])
_JITTER_WEIGHTS = np.array([1, 2, 4, 8, 20, 34, 12, 8, 5, 3, 1.5, 1, 0.5])


class NotFeasibleError(Exception):
    """These draws cannot meet the exact counts; other draws may."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Scans that would take place while a subject is followed, whatever the disease does."""

    scan: Ints
    local: Bools
    central: Bools
    horizon: Ints
    drop_out: Ints
    never_dosed: Bools
    log_hazard: Floats

    @property
    def limit(self) -> Ints:
        """Last day on which anything can be observed."""
        return np.minimum(self.horizon, self.drop_out)


@dataclass(frozen=True, slots=True)
class Progress:
    """Local course: day of the first event, the scan that saw it (or -1), and whether it is death.

    ``last`` is the last evaluable local scan before the end (0 if none).
    """

    day: Ints
    scan_index: Ints
    died: Bools
    last: Ints

    @property
    def event(self) -> Bools:
        """Progression seen, or death before it."""
        return self.day < NEVER

    @property
    def progressed(self) -> Bools:
        """Progression seen by the investigator."""
        return self.scan_index >= 0

    @property
    def days(self) -> Ints:
        """Analysis time in days: AVAL = ADT - RANDDT + 1."""
        return np.where(self.event, self.day, self.last) + 1

    @property
    def median(self) -> float:
        """Kaplan-Meier median in months."""
        return median_months(self.days, self.event)


def _scan_days(draws: Mapping[str, Floats], day: Ints) -> Ints:
    """Days of the six-weekly scans: near the plan, a few out of the window, on working days."""
    planned = bolero2.SCAN_INTERVAL_DAYS * np.arange(1, SCANS + 1)
    edges = np.cumsum(_JITTER_WEIGHTS) / _JITTER_WEIGHTS.sum()
    shift = _JITTER[np.searchsorted(edges, draws["jitter"])]
    off = np.where(np.arange(SCANS) < 5, bolero2.OUT_OF_WINDOW, bolero2.OUT_OF_WINDOW_LATE)
    far = 8 + np.floor(7 * draws["tail"] / off).astype(np.int64)
    far = np.where(draws["jitter"] < 0.5, -far, far)
    shift = np.where(draws["tail"] < off, far, shift)
    scan = planned + shift
    weekday = (day[:, None] + scan + bolero2.FIRST_RANDOMIZED.weekday()) % 7
    return scan - (weekday == 5) + (weekday == 6)


def schedule(
    draws: Mapping[str, Floats], arrivals: Arrivals, strata: Ints, never: Bools
) -> Schedule:
    """The observation plan: scans, which can be evaluated, drop-out, and stratum effects."""
    attended = draws["missed"] >= bolero2.MISSED_SCAN
    rate = -np.log1p(-bolero2.DROP_OUT_SIX_MONTHS) / (6 * bolero2.DAYS_PER_MONTH)
    leaves = 10 + np.floor(-np.log(draws["drop_out"]) / rate).astype(np.int64)
    leaves = np.where(never, 2 + np.floor(8 * draws["therapy_gap"]).astype(np.int64), leaves)
    log_hazard = np.where(strata < 2, bolero2.LOG_HAZARD_VISCERAL, 0.0)
    log_hazard = log_hazard + np.where(strata % 2 == 1, bolero2.LOG_HAZARD_NOT_SENSITIVE, 0.0)
    scan = np.where(attended, _scan_days(draws, arrivals.day), NEVER)
    return Schedule(
        scan=scan,
        local=attended & (draws["local_ne"] >= bolero2.LOCAL_NOT_EVALUABLE),
        central=attended & (draws["central_ne"] >= bolero2.CENTRAL_NOT_EVALUABLE),
        horizon=arrivals.horizon,
        drop_out=np.where(leaves <= arrivals.horizon, leaves, NEVER),
        never_dosed=never,
        log_hazard=log_hazard,
    )


def latent_days(draws: Mapping[str, Floats], plan: Schedule, shape: float, scale: float) -> Floats:
    """Weibull event times in days with proportional stratum effects."""
    exposure = -np.log(draws["latent"]) * np.exp(-plan.log_hazard)
    return scale * exposure ** (1 / shape)


def follow(draws: Mapping[str, Floats], plan: Schedule, latent: Floats) -> Progress:
    """What the investigator sees of the latent events, up to drop-out or the cut."""
    limit = plan.limit
    dies = draws["death"] < bolero2.DEATH_SHARE
    death_day = np.maximum(np.ceil(np.minimum(latent, NEVER)).astype(np.int64), EARLIEST_DEATH)
    died = dies & (death_day < limit) & ~plan.never_dosed
    watched = plan.local & (plan.scan < limit[:, None])
    seen = watched & (plan.scan >= latent[:, None]) & ~dies[:, None]
    index = np.where(seen.any(axis=1), seen.argmax(axis=1), -1)
    rows = np.arange(index.size)
    day = np.where(index >= 0, plan.scan[rows, index], np.where(died, death_day, NEVER))
    before = watched & (plan.scan < day[:, None])
    last = np.where(before, plan.scan, 0).max(axis=1)
    return Progress(day=day, scan_index=index, died=died, last=last)


def subset(
    draws: Mapping[str, Floats], plan: Schedule, rows: Bools
) -> tuple[dict[str, Floats], Schedule]:
    """The draws and the plan of some subjects."""
    part = Schedule(*(getattr(plan, name)[rows] for name in Schedule.__slots__))
    return {name: column[rows] for name, column in draws.items()}, part
