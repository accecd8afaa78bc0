"""Fits the local course of each arm to its exact event count and published median.

The uniform numbers stay the same for every parameter tried (common random numbers), so the count
falls one subject at a time as the scale grows, and bisection meets any count exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .bolero2 import Counts
from .course import NotFeasibleError, Progress, Schedule, follow, latent_days
from .streams import Floats

SHAPES = np.round(np.arange(0.70, 1.81, 0.05), 2)
KEPT = 5


@dataclass(frozen=True, slots=True)
class Fit:
    """One set of Weibull parameters that gives the exact count, and what it gives."""

    shape: float
    scale: float
    median: float
    progress: Progress


def scale_for(
    draws: Mapping[str, Floats], plan: Schedule, shape: float, events: int
) -> float | None:
    """Scale in days for which exactly ``events`` local events are seen; None if none is found."""
    low, high = 1.0, 20_000.0
    for _ in range(60):
        scale = float(np.sqrt(low * high))
        count = int(follow(draws, plan, latent_days(draws, plan, shape, scale)).event.sum())
        if count == events:
            return scale
        low, high = (scale, high) if count > events else (low, scale)
    return None


def fits(draws: Mapping[str, Floats], plan: Schedule, target: Counts) -> list[Fit]:
    """The fits of one arm whose medians are nearest to the published one, best first."""
    found = []
    for shape in SHAPES.tolist():
        scale = scale_for(draws, plan, shape, target.local_events)
        if scale is None:
            continue
        progress = follow(draws, plan, latent_days(draws, plan, shape, scale))
        median = progress.median
        if np.isfinite(median):
            found.append(Fit(shape, scale, median, progress))
    if not found:
        raise NotFeasibleError("no Weibull shape gives the count and a median")
    return sorted(found, key=lambda fit: abs(fit.median - target.local_median))[:KEPT]
