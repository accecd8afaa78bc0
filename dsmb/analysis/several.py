"""More than two arms: the log-rank test of all at once, and every statistic of each pair.

A pair is compared on its own subjects only, in their randomization strata within each period (see
`dsmb.analysis.pairs`), and all arms at once too. A pair's re-randomization
test runs the procedure again for all subjects of all arms, and looks each time at those who then
have one of the two arms. The statistic is the standardized one (z): who belongs to the pair changes
from repeat to repeat, and with it the variance; and with z the test stays close to its level when a
third arm does differ, while observed minus expected would not (Neuhaus 1993).

No p-value is adjusted for the number of pairs.

Sources: Kalbfleisch JD, Prentice RL, The Statistical Analysis of Failure Time Data (2nd ed. 2002),
section 1.5 (k samples); Neuhaus G, Ann Statist 1993;21:1760 (standardized, under unequal
censoring).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc

from dsmb.analysis.counting import Floats, Integers, NotEstimable
from dsmb.analysis.pairs import Pair, Period, within
from dsmb.analysis.rerandomization import Arms, ReRandomization, Treated, counted
from dsmb.analysis.survival import Cox, LogRank, cox, logrank

AT_ONCE = 500  # repeats side by side: what stays near the processor
# Against the largest eigenvalue: below it a direction has no variance but rounding.
RANK_TOLERANCE = 1e-10
Z_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Sample:
    """One end point of all subjects, in one order.

    arm: the place of the subject's arm in `codes`. strata: those of the randomization; the tests
    are stratified by the periods too, for which see `dsmb.analysis.pairs`.
    """

    days: tuple[int, ...]
    event: tuple[int, ...]
    arm: tuple[int, ...]
    strata: tuple[str, ...]
    codes: tuple[str, ...]
    periods: tuple[Period, ...]


@dataclass(frozen=True)
class Overall:
    """Stratified log-rank test of all arms; observed and expected events by arm, in order."""

    chi2: float
    degrees_of_freedom: int
    p: float
    observed: tuple[int, ...]
    expected: tuple[float, ...]


@dataclass(frozen=True)
class Compared:
    """A pair's statistics. `left_out`: subjects of its arms from when only one of them was open."""

    pair: Pair
    subjects: int
    left_out: int
    hazard_ratio: Cox | NotEstimable
    logrank: LogRank | NotEstimable
    rerandomization: ReRandomization | NotEstimable | None


def compare_all(sample: Sample) -> Overall | NotEstimable:
    """The log-rank test of all arms, stratified by period too: arms open together are compared."""
    strata = within(sample.periods, sample.strata)
    return overall_logrank(sample.days, sample.event, sample.arm, len(sample.codes), strata)


def overall_logrank(
    days: Sequence[int],
    event: Sequence[int],
    arm: Sequence[int],
    arms: int,
    strata: Sequence[str],
) -> Overall | NotEstimable:
    """Stratified log-rank test of `arms` arms; `arm` is 0 and up.

    The degrees of freedom are the rank of the covariance matrix: one less than the arms, and less
    again for an arm that was at risk on no day with an event (as in R's `survdiff`), and for arms
    in groups that were never at risk together.
    """
    observed, expected = np.zeros(arms), np.zeros(arms)
    covariance = np.zeros((arms, arms))
    codes = np.asarray(strata)
    for stratum in np.unique(codes):
        here = codes == stratum
        time, happened, group = (np.asarray(each)[here] for each in (days, event, arm))
        at_risk, events = _by_day(time, happened, group, arms)
        n, d = at_risk.sum(axis=1), events.sum(axis=1)
        share = at_risk / n[:, None]
        weight = d * (n - d) / np.maximum(n - 1, 1)
        observed += events.sum(axis=0)
        expected += d @ share
        covariance += np.diag(weight @ share) - (weight[:, None] * share).T @ share
    values, vectors = np.linalg.eigh(covariance)
    kept = values > RANK_TOLERANCE * max(float(values.max(initial=0)), 1.0)
    if not kept.any():
        return NotEstimable("on no day with an event were two arms at risk")
    along = (vectors[:, kept].T @ (observed - expected)) ** 2 / values[kept]
    chi2, freedom = float(along.sum()), int(kept.sum())
    return Overall(
        chi2=chi2,
        degrees_of_freedom=freedom,
        p=float(chdtrc(freedom, chi2)),
        observed=tuple(int(each) for each in observed),
        expected=tuple(float(each) for each in expected),
    )


def _by_day(days: Integers, event: Integers, arm: Integers, arms: int) -> tuple[Floats, Floats]:
    """At risk and events by day with an event (rows) and arm (columns), in one stratum."""
    when, place = np.unique(days, return_inverse=True)
    cell = (place * arms + arm) * 2 + event
    table = np.bincount(cell, minlength=when.size * arms * 2).reshape(-1, arms, 2)
    at_risk = table.sum(axis=2)[::-1].cumsum(axis=0)[::-1]
    events = table[:, :, 1]
    happened = events.sum(axis=1) > 0
    return at_risk[happened].astype(float), events[happened].astype(float)


def compare_pair(sample: Sample, pair: Pair, again: Arms | None) -> Compared:
    """The pair's statistics; `again` has the subjects of `sample`, in its order."""
    first, second = (sample.codes.index(code) for code in (pair.first, pair.second))
    arm = np.asarray(sample.arm, np.int64)
    counts = np.zeros(arm.size, np.bool_)  # whose period had both arms
    for period in sample.periods:
        counts[list(period.places)] = period.has(pair)
    both = (arm == first) | (arm == second)
    mine = np.flatnonzero(both & counts)
    days, event = np.asarray(sample.days, np.int64), np.asarray(sample.event, np.int64)
    strata = np.asarray(within(sample.periods, sample.strata))
    group = (arm == first).astype(np.int64)
    columns = days[mine], event[mine], group[mine], strata[mine]
    test = logrank(*columns)
    repeated: ReRandomization | NotEstimable | None = None
    if again is not None:
        rows = np.flatnonzero(counts)
        given = np.concatenate([arm[rows, None], again.given[rows]], axis=1)
        z = pair_z(days[rows], event[rows], strata[rows], given == first, given == second)
        repeated = counted(z[0], z[1:], Z_TOLERANCE, again.seed)
        repeated = test if isinstance(test, NotEstimable) else repeated
    return Compared(
        pair=pair,
        subjects=mine.size,
        left_out=int((both & ~counts).sum()),
        hazard_ratio=cox(*columns),
        logrank=test,
        rerandomization=repeated,
    )


def pair_z(
    days: Integers, event: Integers, strata: np.ndarray, first: Treated, second: Treated
) -> Floats:
    """The stratified log-rank z of the pair in every repeat; 0 where both never were at risk.

    first, second: for each subject and repeat, whether the arm is the pair's first or second.
    """
    repeats = first.shape[1]
    difference, variance = np.zeros(repeats), np.zeros(repeats)
    for stratum in np.unique(strata):
        here = np.flatnonzero(strata == stratum)
        here = here[np.argsort(days[here], kind="stable")]
        when, begins = np.unique(days[here], return_index=True)
        dead = here[event[here] == 1]
        if not dead.size:
            continue
        died_on, groups = np.unique(days[dead], return_index=True)
        begins = begins[np.searchsorted(when, died_on)]
        for start in range(0, repeats, AT_ONCE):
            some = slice(start, start + AT_ONCE)
            n1, n0 = (_at_risk(each[here, some], begins) for each in (first, second))
            d1, d0 = (
                np.add.reduceat(each[dead, some], groups, axis=0, dtype=np.float64)
                for each in (first, second)
            )
            n, d = np.maximum(n1 + n0, 1), d1 + d0
            share = n1 / n
            difference[some] += (d1 - d * share).sum(axis=0)
            spread = d * share * (n0 / n) * (n - d) / np.maximum(n - 1, 1)
            variance[some] += spread.sum(axis=0)
    safe = np.where(variance > 0, variance, 1.0)
    return np.where(variance > 0, difference / np.sqrt(safe), 0.0)


def _at_risk(given: Treated, begins: Integers) -> Floats:
    """How many of the rows from each of `begins` on are true, by repeat."""
    below = given[::-1].cumsum(axis=0, dtype=np.int32)[::-1]
    return below[begins].astype(np.float64)
