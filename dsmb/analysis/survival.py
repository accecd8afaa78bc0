"""Stratified log-rank, stratified Cox and Kaplan-Meier on times in whole days.

Times are whole days, so every statistic here depends on the sample only through the number of
subjects at risk and the number of events per stratum, arm and day. One counting pass makes that
table; the rest is arithmetic on arrays as long as the table, not as long as the sample.

In the two-arm functions `group` is 1 for the experimental arm and 0 for the control arm. What the
sample cannot support comes back as `NotEstimable` with the reason, never as an exception or a NaN:
an interim package must be built whatever the events look like. Malformed input (lengths that
differ, times that are not whole days) is a programming error and raises `ValueError`.

Sources: Mantel N, Cancer Chemother Rep 1966;50:163 (log-rank); Efron B, J Am Stat Assoc
1977;72:557 (ties); Brookmeyer R, Crowley J, Biometrics 1982;38:29 (interval of the median).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from dsmb.analysis.counting import (
    Floats,
    Integers,
    NotEstimable,
    RiskSets,
    binary,
    risk_sets,
    whole,
)

# R's tolerance for "S(t) equals one half": a product of fractions rarely lands on 0.5 exactly.
HALF_TOLERANCE = float(np.sqrt(np.finfo(float).eps))
MOST_NEWTON_STEPS = 60


@dataclass(frozen=True)
class LogRank:
    """Stratified log-rank test; pairs are (control, experimental).

    `z` is negative when the experimental arm has fewer events than expected; `p_one_sided` is
    small in favour of the experimental arm. `variance` is that of observed - expected.
    """

    chi2: float
    z: float
    p_two_sided: float
    p_one_sided: float
    observed: tuple[int, int]
    expected: tuple[float, float]
    variance: float


@dataclass(frozen=True)
class Cox:
    """Stratified proportional hazards fit: experimental against control, Wald interval."""

    hazard_ratio: float
    low: float
    high: float
    beta: float
    se: float


@dataclass(frozen=True)
class Curve:
    """Kaplan-Meier curve: one element per day on which somebody had the event or was censored.

    `survival` is S(t) just after that day, `se_log` Greenwood's standard error of log S(t)
    (infinite from the day S(t) is 0).
    """

    time: Integers
    at_risk: Integers
    events: Integers
    censored: Integers
    survival: Floats
    se_log: Floats


@dataclass(frozen=True)
class Median:
    """Median time in days with its confidence limits; None means not reached."""

    estimate: float | None
    low: float | None
    high: float | None


def logrank(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    group: npt.ArrayLike,
    strata: npt.ArrayLike | None = None,
) -> LogRank | NotEstimable:
    """Stratified log-rank test of two arms.

    Arguments are one-dimensional and of one length: `time` in whole days, `event` 1 or 0
    (censored), `group` 1 (experimental) or 0 (control), `strata` any labels. A stratum in which
    only one arm is at risk adds nothing, as in R's `survdiff(... + strata())`.
    """
    sets = risk_sets(time, event, group, strata)
    if isinstance(sets, NotEstimable):
        return sets
    n, d = sets.n0 + sets.n1, sets.d0 + sets.d1
    expected = float(np.sum(d * sets.n1 / n))
    spread = d * (sets.n1 / n) * (sets.n0 / n) * (n - d) / np.maximum(n - 1, 1)
    variance = float(np.sum(spread))
    if variance <= 0:
        return NotEstimable("on no day with an event were both arms at risk")
    control, experimental = int(sets.d0.sum()), int(sets.d1.sum())
    difference = experimental - expected
    z = difference / float(np.sqrt(variance))
    return LogRank(
        chi2=difference**2 / variance,
        z=z,
        p_two_sided=float(2 * ndtr(-abs(z))),
        p_one_sided=float(ndtr(z)),
        observed=(control, experimental),
        expected=(control + experimental - expected, expected),
        variance=variance,
    )


def cox(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    group: npt.ArrayLike,
    strata: npt.ArrayLike | None = None,
    *,
    level: float = 0.95,
) -> Cox | NotEstimable:
    """Hazard ratio of experimental to control from a stratified Cox model, Efron's ties.

    Arguments as for `logrank`; `level` is that of the Wald interval. The likelihood of one binary
    covariate has a finite maximum or has none, and counting tells which before any iteration: a
    monotone likelihood is reported as such, not found by a step that runs away.
    """
    sets = risk_sets(time, event, group, strata)
    if isinstance(sets, NotEstimable):
        return sets
    terms = _efron_terms(sets)
    if isinstance(terms, NotEstimable):
        return terms
    odds, wins = terms
    beta = _newton(odds, wins)
    if beta is None:
        return NotEstimable(f"the Cox model did not converge in {MOST_NEWTON_STEPS} steps")
    share = 1 / (1 + odds * np.exp(-beta))
    se = 1 / float(np.sqrt(np.sum(share * (1 - share))))
    width = float(ndtri((1 + level) / 2)) * se
    ratio, low, high = (float(np.exp(b)) for b in (beta, beta - width, beta + width))
    return Cox(hazard_ratio=ratio, low=low, high=high, beta=beta, se=se)


def kaplan_meier(time: npt.ArrayLike, event: npt.ArrayLike) -> Curve:
    """Kaplan-Meier estimate of one sample; `time` in whole days, `event` 1 or 0 (censored)."""
    days = whole("time", time)
    happened = binary("event", event, len(days))
    when, place = np.unique(days, return_inverse=True)
    counts = np.bincount(place * 2 + happened, minlength=2 * len(when)).reshape(-1, 2)
    censored, events = counts[:, 0], counts[:, 1]
    at_risk = len(days) - np.concatenate([[0], np.cumsum(counts.sum(axis=1))[:-1]])
    at_risk = at_risk[: len(when)]
    survival = np.cumprod((at_risk - events) / at_risk)
    with np.errstate(divide="ignore"):
        hazard = np.where(events > 0, events / (at_risk * (at_risk - events).astype(float)), 0.0)
    return Curve(when, at_risk, events, censored, survival, np.sqrt(np.cumsum(hazard)))


def median(curve: Curve, *, level: float = 0.95) -> Median:
    """Median survival in days, with the log-log (Brookmeyer-Crowley) interval.

    Where S(t) is one half over an interval the median is its midpoint, and a limit is the first
    day on which its own pointwise limit curve is at or under one half: R's rules
    (`survfit(conf.type = "log-log")`). A limit that is never met is None: not reached.
    """
    low, high = confidence_limits(curve, level=level)
    return Median(
        estimate=_first_half(curve.time, curve.survival),
        low=_first_half(curve.time, low),
        high=_first_half(curve.time, high),
    )


def confidence_limits(curve: Curve, *, level: float = 0.95) -> tuple[Floats, Floats]:
    """Pointwise log-log limits of S(t): 1 while S(t) is 1, NaN once it is 0, as in R."""
    s = curve.survival
    inside = (s > 0) & (s < 1)
    safe = np.where(inside, s, 0.5)
    shift = ndtri((1 + level) / 2) * np.where(inside, curve.se_log, 0.0) / np.log(safe)
    centre = np.log(-np.log(safe))
    outside = np.where(s >= 1, 1.0, np.nan)
    low = np.where(inside, np.exp(-np.exp(centre - shift)), outside)
    high = np.where(inside, np.exp(-np.exp(centre + shift)), outside)
    return low, high


def _first_half(time: Integers, height: Floats) -> float | None:
    """First day at or under one half; the midpoint of the step when it is one half exactly."""
    with np.errstate(invalid="ignore"):
        reached = np.flatnonzero(height < 0.5 + HALF_TOLERANCE)
    if reached.size == 0:
        return None
    first = reached[0]
    later = reached[height[reached] < height[first]]
    if abs(height[first] - 0.5) < HALF_TOLERANCE and later.size:
        return (float(time[first]) + float(time[later[0]])) / 2
    return float(time[first])


def _efron_terms(sets: RiskSets) -> tuple[Floats, float] | NotEstimable:
    """The score of the Cox model as `wins - sum(1 / (1 + odds * exp(-beta)))`.

    Each event contributes one term: `odds` is control to experimental at risk, less the share of
    the tied events already counted (Efron). Events with one arm alone at risk say nothing of the
    ratio and are left out. The sum runs from 0 to the number of terms, so a root exists exactly
    when `wins` lies strictly between.
    """
    tied = (sets.d0 + sets.d1).astype(np.int64)
    row = np.repeat(np.arange(tied.size), tied)
    rank = np.arange(row.size) - np.repeat(np.cumsum(tied) - tied, tied)
    removed = rank / tied[row]
    control = sets.n0[row] - removed * sets.d0[row]
    experimental = sets.n1[row] - removed * sets.d1[row]
    both = (control > 0) & (experimental > 0)
    wins = float(sets.d1.sum() - np.count_nonzero(control <= 0))
    if not both.any():
        return NotEstimable("on no day with an event were both arms at risk")
    if wins <= 0:
        return NotEstimable(_monotone("experimental", "zero"))
    if wins >= np.count_nonzero(both):
        return NotEstimable(_monotone("control", "infinity"))
    return control[both] / experimental[both], wins


def _monotone(arm: str, limit: str) -> str:
    return (
        f"the {arm} arm has no events while both arms are at risk, "
        f"so that the hazard ratio tends to {limit} (monotone likelihood)"
    )


def _newton(odds: Floats, wins: float) -> float | None:
    """Root of the decreasing score: Newton's step, halved into the bracket when it leaves it."""
    beta, low, high = 0.0, -np.inf, np.inf
    for _ in range(MOST_NEWTON_STEPS):
        share = 1 / (1 + odds * np.exp(-beta))
        score = wins - float(share.sum())
        low, high = (beta, high) if score > 0 else (low, beta)
        # Without the clip a flat tail throws the first step beyond the range of exp().
        step = float(np.clip(score / max(float(np.sum(share * (1 - share))), 1e-12), -4, 4))
        nearer = beta + step
        if not low <= nearer <= high:
            nearer = (low + high) / 2
        if abs(nearer - beta) <= 1e-13 * max(1.0, abs(beta)):
            return nearer
        beta = nearer
    return None
