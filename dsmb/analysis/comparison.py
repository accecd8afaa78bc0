"""The two arms compared at a data cut: counts, medians, hazard ratio and log-rank per end point."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from dsmb.analysis.counting import NotEstimable
from dsmb.analysis.course import Arm, SubjectRecord
from dsmb.analysis.derivation import at_cut, stratum_of
from dsmb.analysis.outcome import EVENT, PARAMS, Outcome, ParamCode, derive_outcome, happened
from dsmb.analysis.rerandomization import (
    Again,
    Procedure,
    ReRandomization,
    rerandomization,
    run_again,
)
from dsmb.analysis.survival import Cox, LogRank, Median, cox, kaplan_meier, logrank, median


class ReportError(ValueError):
    """The records are not a comparison of one control arm with one other arm."""


@dataclass(frozen=True)
class ArmCounts:
    """Subjects of one arm at the cut; `on_treatment`: drug started, not stopped, alive."""

    arm: Arm
    randomized: int
    treated: int
    on_treatment: int
    deaths: int


@dataclass(frozen=True)
class ArmOutcome:
    """One end point in one arm: events, censored subjects by CNSR code, median in days."""

    arm: Arm
    subjects: int
    events: int
    censored: dict[int, int]
    median: Median | NotEstimable


@dataclass(frozen=True)
class EndPoint:
    """One end point compared; the hazard ratio is the other arm's to the control arm's.

    `rerandomization` is None when it was not told how the subjects were randomized.
    """

    param: ParamCode
    arms: tuple[ArmOutcome, ...]
    hazard_ratio: Cox | NotEstimable
    logrank: LogRank | NotEstimable
    rerandomization: ReRandomization | NotEstimable | None


@dataclass(frozen=True)
class Comparison:
    """Everything the closed report says, as numbers; arms with control last."""

    cut: date
    counts: tuple[ArmCounts, ...]
    end_points: tuple[EndPoint, ...]


def compare(
    records: Iterable[SubjectRecord], cut: date, procedures: Sequence[Procedure] = ()
) -> Comparison:
    """Analyse PFSINV, PFSIRC and OS of the subjects randomized on or before the cut.

    Tests are stratified by the randomization strata. `procedures` say how the subjects were
    randomized; with them each end point gets its re-randomization test. An arm without subjects is
    left out and what needs both arms is `NotEstimable`. Raises `ReportError` for more than two arms
    or no single control among two, and `ProcedureError` when the procedures miss a subject.
    """
    included = at_cut(records, cut)
    arms = _arms(included)
    # Run whoever is in which arm: how long a package takes is seen from outside.
    subjects = [record.course.subject for record in included]
    again = run_again(procedures, subjects) if procedures else None
    return Comparison(
        cut=cut,
        counts=tuple(_counts(arm, included, cut) for arm in arms),
        end_points=tuple(_end_point(param, arms, included, cut, again) for param in PARAMS),
    )


def _arms(records: Sequence[SubjectRecord]) -> list[Arm]:
    arms = sorted({record.arm for record in records}, key=lambda arm: (arm.control, arm.code))
    if len(arms) > 2:
        raise ReportError(f"two arms can be compared, the records have {len(arms)}")
    if len(arms) == 2 and [arm.control for arm in arms] != [False, True]:
        raise ReportError("exactly one of the two arms must be marked as the control arm")
    return arms


def _counts(arm: Arm, records: Sequence[SubjectRecord], cut: date) -> ArmCounts:
    courses = [record.course for record in records if record.arm == arm]
    treated = [course for course in courses if happened(course.first_dose_on, cut)]
    return ArmCounts(
        arm=arm,
        randomized=len(courses),
        treated=len(treated),
        on_treatment=sum(
            not happened(course.drug_stopped_on, cut) and not happened(course.died_on, cut)
            for course in treated
        ),
        deaths=sum(happened(course.died_on, cut) for course in courses),
    )


def _end_point(
    param: ParamCode,
    arms: Sequence[Arm],
    records: Sequence[SubjectRecord],
    cut: date,
    again: Again | None,
) -> EndPoint:
    outcomes = [derive_outcome(record.course, cut, param) for record in records]
    time = [_days(record, out) for record, out in zip(records, outcomes, strict=True)]
    event = [int(outcome.cnsr == EVENT) for outcome in outcomes]
    group = [int(not record.arm.control) for record in records]
    strata = [stratum_of(record.course) for record in records]
    by_arm = []
    for arm in arms:
        mine = [i for i, record in enumerate(records) if record.arm == arm]
        by_arm.append(_arm_outcome(arm, [time[i] for i in mine], [outcomes[i] for i in mine]))
    test = logrank(time, event, group, strata)
    repeated: ReRandomization | NotEstimable | None = None
    if again is not None:
        repeated = rerandomization(time, event, group, strata, again)
        repeated = test if isinstance(test, NotEstimable) else repeated
    return EndPoint(
        param=param,
        arms=tuple(by_arm),
        hazard_ratio=cox(time, event, group, strata),
        logrank=test,
        rerandomization=repeated,
    )


def _arm_outcome(arm: Arm, time: Sequence[int], outcomes: Sequence[Outcome]) -> ArmOutcome:
    event = [int(outcome.cnsr == EVENT) for outcome in outcomes]
    reasons = Counter(outcome.cnsr for outcome in outcomes if outcome.cnsr != EVENT)
    events = sum(event)
    middle: Median | NotEstimable = median(kaplan_meier(time, event))
    if not events:
        middle = NotEstimable("there are no events in this arm")
    return ArmOutcome(arm, len(time), events, dict(sorted(reasons.items())), middle)


def _days(record: SubjectRecord, outcome: Outcome) -> int:
    return (outcome.on - record.course.randomized_on).days + 1
