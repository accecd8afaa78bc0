"""The arms compared at a data cut: counts, medians, hazard ratio and log-rank per end point."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from dsmb.analysis.counting import NotEstimable
from dsmb.analysis.course import Arm, SubjectRecord
from dsmb.analysis.derivation import at_cut, stratum_of
from dsmb.analysis.outcome import PARAMS, ParamCode
from dsmb.analysis.pairs import Pair, Period, pairs_of, periods_of, within
from dsmb.analysis.per_arm import ArmCounts, ArmOutcome, counts_of, outcome_of, times_of
from dsmb.analysis.rerandomization import (
    Again,
    Procedure,
    ReRandomization,
    rerandomization,
    run_again,
    run_arms,
)
from dsmb.analysis.several import Compared, Overall, Sample, compare_all, compare_pair
from dsmb.analysis.survival import Cox, LogRank, cox, logrank


class ReportError(ValueError):
    """The records are no comparison of the arms that were given."""


@dataclass(frozen=True)
class EndPoint:
    """One end point of two arms; the hazard ratio is the other arm's to the control arm's.

    `rerandomization` is None when it was not told how the subjects were randomized.
    """

    param: ParamCode
    arms: tuple[ArmOutcome, ...]
    hazard_ratio: Cox | NotEstimable
    logrank: LogRank | NotEstimable
    rerandomization: ReRandomization | NotEstimable | None


@dataclass(frozen=True)
class EndPointOfSeveral:
    """One end point of more than two arms: all at once, and in the pairs of `Comparison.pairs`."""

    param: ParamCode
    arms: tuple[ArmOutcome, ...]
    overall: Overall | NotEstimable
    pairs: tuple[Compared, ...]


@dataclass(frozen=True)
class Comparison:
    """Everything the closed report says, as numbers; arms with control last.

    Of two arms it has `end_points`, of more it has `several`, with the `pairs` that were compared.
    `periods`: those in which the same arms took new subjects in one ratio.
    """

    cut: date
    counts: tuple[ArmCounts, ...]
    end_points: tuple[EndPoint, ...] = ()
    several: tuple[EndPointOfSeveral, ...] = ()
    pairs: tuple[Pair, ...] = ()
    periods: tuple[Period, ...] = ()


def compare(
    records: Iterable[SubjectRecord],
    cut: date,
    procedures: Sequence[Procedure] = (),
    arms: Iterable[Arm] = (),
) -> Comparison:
    """Analyse PFSINV, PFSIRC and OS of the subjects randomized on or before the cut.

    Tests are stratified by the randomization strata and by period, where open arms or ratio
    changed. `procedures` say how the subjects were randomized; with them each comparison gets its
    re-randomization test, and without them everybody is taken to be of one period. `arms`: all of
    the study, in its order; by itself, those of the records. Of two arms, one without subjects is
    left out; of more, each is shown. What needs subjects that are not there is `NotEstimable`.

    Raises `ReportError` for a record of an arm that is not among `arms` and for no single control
    among two, and `ProcedureError` when the procedures miss a subject.
    """
    included = at_cut(records, cut)
    known = _arms(included, arms)
    if len(known) > 2:
        return _of_several(included, known, cut, procedures)
    # Run whoever is in which arm: how long a package takes is seen from outside.
    subjects = [record.course.subject for record in included]
    again = run_again(procedures, subjects) if procedures else None
    codes = dict.fromkeys(code for procedure in procedures for code, _ in procedure.arms)
    periods = periods_of(procedures, subjects, tuple(codes))
    strata = within(periods, [stratum_of(record.course) for record in included])
    return Comparison(
        cut=cut,
        counts=tuple(counts_of(arm, included, cut) for arm in known),
        end_points=tuple(
            _end_point(param, known, included, cut, strata, again) for param in PARAMS
        ),
        periods=periods,
    )


def _arms(records: Sequence[SubjectRecord], given: Iterable[Arm]) -> list[Arm]:
    """The arms to show, control last."""
    found = sorted({record.arm for record in records}, key=lambda arm: arm.code)
    study = list(given) or found
    if not set(found) <= set(study):
        raise ReportError("a subject has an arm that is not among the study's arms")
    arms = sorted(study if len(study) > 2 else found, key=lambda arm: arm.control)
    if len(arms) == 2 and [arm.control for arm in arms] != [False, True]:
        raise ReportError("exactly one of the two arms must be marked as the control arm")
    return arms


def _end_point(
    param: ParamCode,
    arms: Sequence[Arm],
    records: Sequence[SubjectRecord],
    cut: date,
    strata: Sequence[str],
    again: Again | None,
) -> EndPoint:
    times = times_of(param, records, cut)
    group = [int(not record.arm.control) for record in records]
    test = logrank(times.days, times.event, group, strata)
    repeated: ReRandomization | NotEstimable | None = None
    if again is not None:
        repeated = rerandomization(times.days, times.event, group, strata, again)
        repeated = test if isinstance(test, NotEstimable) else repeated
    return EndPoint(
        param=param,
        arms=tuple(outcome_of(arm, records, times) for arm in arms),
        hazard_ratio=cox(times.days, times.event, group, strata),
        logrank=test,
        rerandomization=repeated,
    )


def _of_several(
    records: Sequence[SubjectRecord],
    arms: Sequence[Arm],
    cut: date,
    procedures: Sequence[Procedure],
) -> Comparison:
    """Every arm and every pair, whoever is in which arm."""
    codes = tuple(arm.code for arm in arms)
    subjects = [record.course.subject for record in records]
    periods = periods_of(procedures, subjects, codes)
    again = run_arms(procedures, subjects, codes) if procedures else None
    pairs = pairs_of(arms)
    end_points = []
    for param in PARAMS:
        times = times_of(param, records, cut)
        sample = Sample(
            days=times.days,
            event=times.event,
            arm=tuple(codes.index(record.arm.code) for record in records),
            strata=tuple(stratum_of(record.course) for record in records),
            codes=codes,
            periods=periods,
        )
        end_points.append(
            EndPointOfSeveral(
                param=param,
                arms=tuple(outcome_of(arm, records, times) for arm in arms),
                overall=compare_all(sample),
                pairs=tuple(compare_pair(sample, pair, again) for pair in pairs),
            )
        )
    return Comparison(
        cut=cut,
        counts=tuple(counts_of(arm, records, cut) for arm in arms),
        several=tuple(end_points),
        pairs=pairs,
        periods=periods,
    )
