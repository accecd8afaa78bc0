"""Median and hazard ratio, as far as the calibration needs them to aim at its targets.

Deliberately small and separate from the trial's own analysis, which is checked on these data.
"""

from __future__ import annotations

import numpy as np

from .bolero2 import DAYS_PER_MONTH
from .streams import Bools, Floats, Ints


def median_months(days: Ints, events: Bools) -> float:
    """Kaplan-Meier median in months; the midpoint when S(t) is 0.5 over an interval; nan if none.

    ``days`` is the time to event or censoring (day of randomization = 1).
    """
    times, deaths = np.unique(days[events], return_counts=True)
    ordered = np.sort(days)
    at_risk = ordered.size - np.searchsorted(ordered, times, side="left")
    curve = np.cumprod(1 - deaths / at_risk)
    below = np.flatnonzero(curve <= 0.5 + 1e-12)
    if below.size == 0:
        return float("nan")
    first = below[0]
    level = abs(curve[first] - 0.5) < 1e-9 and first + 1 < times.size
    middle = (times[first] + times[first + 1]) / 2 if level else times[first]
    return float(middle) / DAYS_PER_MONTH


def _risk_terms(days: Ints, events: Bools, treated: Bools) -> tuple[Floats, Floats]:
    """Efron's treated and control numbers at risk for each event of one stratum."""
    times, where = np.unique(days[events], return_inverse=True)
    deaths = np.bincount(where, minlength=times.size)
    deaths_treated = np.bincount(where[treated[events]], minlength=times.size)
    sizes = []
    for group in (treated, ~treated):
        ordered = np.sort(days[group])
        sizes.append((ordered.size - np.searchsorted(ordered, times)).astype(np.float64))
    each = np.repeat(np.arange(times.size), deaths)
    rank = np.arange(each.size) - np.repeat(np.cumsum(deaths) - deaths, deaths)
    share = rank / deaths[each]
    treated_risk: Floats = sizes[0][each] - share * deaths_treated[each]
    control_risk: Floats = sizes[1][each] - share * (deaths - deaths_treated)[each]
    return treated_risk, control_risk


def hazard_ratio(days: Ints, events: Bools, treated: Bools, strata: Ints) -> float:
    """Stratified Cox hazard ratio, treated against control, Efron's ties."""
    terms = [
        _risk_terms(days[strata == s], events[strata == s], treated[strata == s])
        for s in np.unique(strata)
    ]
    a, b = (np.concatenate([t[side] for t in terms]) for side in (0, 1))
    observed, beta = float((events & treated).sum()), 0.0
    for _ in range(25):
        share = a * np.exp(beta) / (a * np.exp(beta) + b)
        step = (observed - share.sum()) / (share * (1 - share)).sum()
        beta += step
        if abs(step) < 1e-10:
            break
    return float(np.exp(beta))
