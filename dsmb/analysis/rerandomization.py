"""The re-randomization test: the log-rank statistic against the procedure that was really used.

The subjects stay in their order of entry, with their levels and outcomes; only the procedure is run
again, many times. Under the hypothesis that the treatment changes nobody's outcome, what happened
is one draw among these, whatever the method and whatever the order in which subjects came.

The statistic is observed minus expected events of the experimental arm of the stratified log-rank
test. It is the sum of the arm's martingale residuals under the hypothesis, and these do not depend
on the arms: so all repeats are one product of a vector with a matrix.

Sources: Rosenberger WF, Lachin JM, Randomization in Clinical Trials (2nd ed. 2016), chapter 6;
Simon R, Simon NR, Stat Probab Lett 2011;81:767 (adaptive methods); Phipson B, Smyth GK, Stat Appl
Genet Mol Biol 2010;9:39 (one is added to both counts).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

from dsmb.analysis.counting import Floats, Integers, binary, whole
from randomization.simulation.chunk import Streams
from randomization.simulation.engine import allocate
from randomization.simulation.entry import same_entry

REPEATS = 5_000
SEED = 1  # the same for all studies, so that nobody can look for one that suits
AT_ONCE = 1_000  # repeats side by side: what memory holds with ease
LEVEL = 0.95
# Two sums of the same residuals in another order differ in their last bits.
TOLERANCE = 1e-9

Treated = npt.NDArray[np.bool_]
Given = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Procedure:
    """How the subjects of one list got their arms: all that is needed to do it again.

    method: its keys, as in a study file. arms: code and ratio of each; control: the code of one of
    them, which only `run_again` needs. factors: those that the method looked at. subjects: in the
    order of entry. levels: of each subject, one level for each factor, as used at randomization.
    named: subjects whose arm a person named beforehand, with its code: they keep it, and use up a
    place of the method all the same.
    """

    method: Mapping[str, Any]
    arms: tuple[tuple[str, int], ...]
    control: str
    factors: tuple[str, ...]
    subjects: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]
    named: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Again:
    """The arms that the procedure gave when it was run again.

    treated: for each subject (in the order asked for) and repeat, whether the arm is experimental.
    """

    treated: Treated
    seed: int

    @property
    def repeats(self) -> int:
        return int(self.treated.shape[1])


@dataclass(frozen=True)
class Arms:
    """The same with the arms themselves.

    given: for each subject (in the order asked for) and repeat, the arm's place among the codes.
    """

    given: Given
    seed: int


@dataclass(frozen=True)
class ReRandomization:
    """The test's result.

    as_extreme: repeats with a statistic at least as far from zero; as_good: at least as much in
    favour of the experimental arm. low and high: 95% interval of the two-sided p-value that endless
    repeats would give (Clopper and Pearson).
    """

    p_two_sided: float
    p_one_sided: float
    low: float
    high: float
    as_extreme: int
    as_good: int
    repeats: int
    seed: int


class ProcedureError(ValueError):
    """The procedures do not cover the subjects; the text names a subject, never an arm."""


def run_again(
    procedures: Sequence[Procedure],
    subjects: Sequence[str],
    *,
    repeats: int = REPEATS,
    seed: int = SEED,
) -> Again:
    """Run each procedure again for all its subjects, and say who of those asked for is not in the
    control arm.

    Raises `ProcedureError` when a subject is in no procedure or in two.
    """
    named = [code for each in procedures for code in each.named.values()]
    codes = tuple(dict.fromkeys([code for each in procedures for code, _ in each.arms] + named))
    arms = run_arms(procedures, subjects, codes, repeats=repeats, seed=seed)
    experimental = np.array([code != procedures[0].control for code in codes])
    return Again(experimental[arms.given], seed)


def run_arms(
    procedures: Sequence[Procedure],
    subjects: Sequence[str],
    codes: Sequence[str],
    *,
    repeats: int = REPEATS,
    seed: int = SEED,
) -> Arms:
    """Run each procedure again for all its subjects, and give the rows of the ones asked for.

    Raises `ProcedureError` when a subject is in no procedure or in two.
    """
    place: dict[str, int] = {}
    for procedure in procedures:
        for subject in procedure.subjects:
            if subject in place:
                raise ProcedureError(f"subject {subject} was randomized twice")
            place[subject] = len(place)
    missing = [subject for subject in subjects if subject not in place]
    if missing:
        raise ProcedureError(f"of subject {missing[0]} it is not known how it was randomized")
    rows = np.asarray([place[subject] for subject in subjects], dtype=np.int64)
    batches = [
        np.concatenate(
            [
                _given(procedure, codes, min(AT_ONCE, repeats - done), seed, number, done)
                for number, procedure in enumerate(procedures)
            ]
        )[rows]
        for done in range(0, repeats, AT_ONCE)
    ]
    return Arms(np.concatenate(batches, axis=1), seed)


def _given(
    procedure: Procedure, codes: Sequence[str], repeats: int, seed: int, number: int, done: int
) -> Given:
    """One procedure run `repeats` times: its subjects in order, by repeats."""
    places = np.array([codes.index(code) for code, _ in procedure.arms], dtype=np.int8)
    given: Given = places[_run(procedure, repeats, seed, number, done)]
    for subject, arm in procedure.named.items():
        given[procedure.subjects.index(subject)] = codes.index(arm)
    return given


def _run(procedure: Procedure, repeats: int, seed: int, number: int, done: int) -> Integers:
    """The places of the arms that the method gives, by subject and repeat."""
    factors, sizes = {}, []
    for at, factor in enumerate(procedure.factors):
        levels, codes = np.unique([each[at] for each in procedure.levels], return_inverse=True)
        factors[factor] = codes.tolist()
        sizes.append(len(levels))
    entry = same_entry(len(procedure.subjects), factors, sizes, repeats)
    # The procedure's number and the batch's make a stream of their own.
    streams = Streams(seed, (number << 32) + done)
    draws, size_draws = streams.draws.random(entry.shape), streams.sizes.random(entry.shape)
    ratio = tuple(ratio for _, ratio in procedure.arms)
    return allocate(procedure.method, ratio, entry, draws, size_draws).arms


def rerandomization(
    time: npt.ArrayLike,
    event: npt.ArrayLike,
    group: npt.ArrayLike,
    strata: npt.ArrayLike,
    again: Again,
) -> ReRandomization:
    """The p-value of the stratified log-rank statistic among the repeats of the procedure.

    Arguments as for `logrank`, in the order of the rows of `again`. A trial without an event has
    the p-value 1: all repeats are alike.
    """
    residuals = martingale_residuals(time, event, strata)
    mine = binary("group", group, residuals.size)
    observed = float(residuals @ mine)
    repeated = residuals @ again.treated
    near = TOLERANCE * max(float(np.abs(residuals).sum()), 1.0)
    return counted(observed, repeated, near, again.seed)


def counted(observed: float, repeated: Floats, near: float, seed: int) -> ReRandomization:
    """The p-values of a statistic that is negative in favour of the experimental arm.

    near: what two equal values may differ by.
    """
    repeats = repeated.size
    as_extreme = int((np.abs(repeated) >= abs(observed) - near).sum())
    as_good = int((repeated <= observed + near).sum())
    low, high = _interval(as_extreme, repeats)
    return ReRandomization(
        p_two_sided=(1 + as_extreme) / (1 + repeats),
        p_one_sided=(1 + as_good) / (1 + repeats),
        low=low,
        high=high,
        as_extreme=as_extreme,
        as_good=as_good,
        repeats=repeats,
        seed=seed,
    )


def martingale_residuals(
    time: npt.ArrayLike, event: npt.ArrayLike, strata: npt.ArrayLike
) -> Floats:
    """Of each subject, the event less what the stratum's cumulative hazard made likely.

    The hazard is that of all subjects of the stratum together (Nelson and Aalen), so the arms do
    not come into it. The residuals of a stratum sum to zero.
    """
    days = whole("time", time)
    happened = binary("event", event, days.size)
    stratum = np.unique(np.asarray(strata), return_inverse=True)[1]
    residuals = np.empty(days.size)
    for code in range(int(stratum.max(initial=-1)) + 1):
        here = stratum == code
        when, place = np.unique(days[here], return_inverse=True)
        events = np.bincount(place, weights=happened[here], minlength=when.size)
        at_risk = np.bincount(place, minlength=when.size)[::-1].cumsum()[::-1]
        residuals[here] = happened[here] - (events / at_risk).cumsum()[place]
    return residuals


def _interval(found: int, repeats: int) -> tuple[float, float]:
    tail = (1 - LEVEL) / 2
    low = 0.0 if found == 0 else float(betaincinv(found, repeats - found + 1, tail))
    high = 1.0 if found == repeats else float(betaincinv(found + 1, repeats - found, 1 - tail))
    return low, high
