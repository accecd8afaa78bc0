"""Counting pass of the survival statistics: who is at risk and who has the event, day by day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

# Above this many cells (stratum x arm x event x day) days are renumbered to those that occur.
LARGEST_TABLE = 20_000_000


@dataclass(frozen=True)
class NotEstimable:
    """A statistic that the sample cannot support; `reason` completes "cannot be estimated: ..."."""

    reason: str

    def __str__(self) -> str:
        return f"cannot be estimated: {self.reason}"


@dataclass(frozen=True)
class RiskSets:
    """Per stratum and event day: at risk (n) and events (d) in control (0), experimental (1)."""

    n0: Floats
    n1: Floats
    d0: Floats
    d1: Floats


def risk_sets(
    time: npt.ArrayLike, event: npt.ArrayLike, group: npt.ArrayLike, strata: npt.ArrayLike | None
) -> RiskSets | NotEstimable:
    """Count subjects at risk and events per stratum, arm and day; keep the days with events."""
    days = whole("time", time)
    happened = binary("event", event, len(days))
    arm = binary("group", group, len(days))
    stratum, strata_count = _codes(strata, len(days))
    if len(days) == 0 or arm.min() == arm.max():
        return NotEstimable("there are no subjects in one of the arms")
    if not happened.any():
        return NotEstimable("there are no events in either arm")
    if (int(days.max()) + 1) * strata_count * 4 > LARGEST_TABLE:
        days = np.unique(days, return_inverse=True)[1]
    span = int(days.max()) + 1
    cell = ((stratum * 2 + arm) * 2 + happened) * span + days
    table = np.bincount(cell, minlength=strata_count * 4 * span)
    table = table.reshape(strata_count, 2, 2, span)
    events = table[:, :, 1, :]
    at_risk = table.sum(axis=2)[:, :, ::-1].cumsum(axis=2)[:, :, ::-1]
    where = events.sum(axis=1) > 0
    n0, n1 = (at_risk[:, a, :][where].astype(float) for a in (0, 1))
    d0, d1 = (events[:, a, :][where].astype(float) for a in (0, 1))
    return RiskSets(n0, n1, d0, d1)


def whole(name: str, values: npt.ArrayLike) -> Integers:
    """One dimension of whole numbers, zero or more, as integers; `ValueError` otherwise."""
    given = np.asarray(values)
    if given.ndim != 1:
        raise ValueError(f"{name}: expected one dimension, got {given.ndim}")
    cast = given.astype(np.int64) if np.all(np.isfinite(given)) else np.empty(0, np.int64)
    if cast.size != given.size or np.any(cast != given) or (cast.size and cast.min() < 0):
        raise ValueError(f"{name}: expected whole numbers, zero or more, with none missing")
    return cast


def binary(name: str, values: npt.ArrayLike, length: int) -> Integers:
    """Zeros and ones, as many as there are times; `ValueError` otherwise."""
    coded = whole(name, values)
    if coded.size != length:
        raise ValueError(f"{name}: {coded.size} values for {length} times")
    if coded.size and coded.max() > 1:
        raise ValueError(f"{name}: only 0 and 1 are allowed")
    return coded


def _codes(strata: npt.ArrayLike | None, length: int) -> tuple[Integers, int]:
    """Strata as 0..k-1 with k; labels may be numbers or text."""
    if strata is None:
        return np.zeros(length, np.int64), 1
    labels = np.asarray(strata)
    if labels.shape != (length,):
        raise ValueError(f"strata: shape {labels.shape} for {length} times")
    # Small whole numbers serve as they are: sorting a million labels costs more than the test.
    if labels.dtype.kind in "iu" and length and labels.min() >= 0 and labels.max() < 1000:
        return labels.astype(np.int64), int(labels.max()) + 1
    levels, codes = np.unique(labels, return_inverse=True)
    return codes.astype(np.int64), max(len(levels), 1)
