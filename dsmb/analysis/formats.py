"""How numbers, arms and what cannot be estimated are written in the files of a package."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from dsmb.analysis.counting import NotEstimable
from dsmb.analysis.course import Arm
from dsmb.analysis.outcome import CENSORING, PARAMS, ParamCode
from dsmb.analysis.pairs import Period
from dsmb.analysis.per_arm import ArmCounts, ArmOutcome
from dsmb.analysis.rerandomization import ReRandomization

DAYS_PER_MONTH = 30.4375
WIDTH = 100
HAZARD_RATIO = ("hazard_ratio", "low", "high", "beta", "se")
LOGRANK = ("chi2", "z", "p_two_sided", "p_one_sided", "observed", "expected", "variance")
RERANDOMIZATION = tuple(each.name for each in fields(ReRandomization))


def counts_lines(arms: Sequence[ArmCounts], named: Callable[[Arm], str]) -> list[str]:
    """The table of subjects by arm."""
    if not arms:
        return ["No subject was randomized on or before the data cut."]
    head = f"{'Arm':<56}{'randomized':>11}{'treated':>9}{'on treatment':>14}{'deaths':>8}"
    rows = [
        f"{named(c.arm):<56}{c.randomized:>11}{c.treated:>9}{c.on_treatment:>14}{c.deaths:>8}"
        for c in arms
    ]
    return [head, *rows]


def outcome_lines(
    param: ParamCode, arms: Sequence[ArmOutcome], named: Callable[[Arm], str]
) -> list[str]:
    """The table of one end point's events and medians by arm."""
    title = f"{param}  {PARAMS[param].removesuffix(' (days)')}"
    rows = [
        f"  {named(each.arm):<54}{each.subjects:>9}{each.events:>8}   {median_text(each)}"
        for each in arms
    ]
    return [f"{title:<56}{'subjects':>9}{'events':>8}   median (95% CI), months", *rows]


def not_estimable(name: str, why: NotEstimable) -> list[str]:
    return wrapped(f"  {name} {why}", indent="    ")


def wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent)


def arm_name(arm: Arm) -> str:
    return f"{arm.label[:38]} (control)" if arm.control else arm.label[:48]


def median_text(arm: ArmOutcome) -> str:
    if isinstance(arm.median, NotEstimable):
        return "no events"
    middle, low, high = (
        "NR" if days is None else f"{days / DAYS_PER_MONTH:.1f}"
        for days in (arm.median.estimate, arm.median.low, arm.median.high)
    )
    return f"{middle} ({low} to {high})"


def p_text(p: float) -> str:
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.4f}"


def counts_json(counts: ArmCounts) -> dict[str, Any]:
    return {
        "code": counts.arm.code,
        "label": counts.arm.label,
        "control": counts.arm.control,
        "randomized": counts.randomized,
        "treated": counts.treated,
        "on_treatment": counts.on_treatment,
        "deaths": counts.deaths,
    }


def arm_json(arm: ArmOutcome) -> dict[str, Any]:
    middle = statistic(arm.median, ("estimate", "low", "high"))
    if not isinstance(arm.median, NotEstimable):
        middle |= {
            f"{name}_months": None if days is None else rounded(days / DAYS_PER_MONTH)
            for name, days in list(middle.items())
        }
    return {
        "code": arm.arm.code,
        "subjects": arm.subjects,
        "events": arm.events,
        "censored": {CENSORING[code]: count for code, count in arm.censored.items()},
        "median_days": middle,
    }


def periods_text(periods: Sequence[Period]) -> str:
    """`LOW, HIG, PBO 1:1:1 (60); HIG, PBO 2:1 (90)`: arms, ratio, subjects randomized."""
    return "; ".join(
        f"{', '.join(each.codes)} {':'.join(map(str, each.ratio))} ({len(each.places)})"
        for each in periods
    )


def periods_json(periods: Sequence[Period], subjects: Sequence[str]) -> list[dict[str, Any]]:
    """Every subject in its period, so that anybody can test again; ratios when there are two."""
    return [
        {"open_arms": list(each.codes)}
        | ({"ratio": list(each.ratio)} if len(periods) > 1 else {})
        | {"subjects": [subjects[place] for place in each.places]}
        for each in periods
    ]


def statistic(value: object, names: Sequence[str]) -> dict[str, Any]:
    if isinstance(value, NotEstimable):
        return {"cannot_be_estimated": value.reason}
    return {name: rounded(getattr(value, name)) for name in names}


def rounded(value: Any) -> Any:
    """Ten significant digits: the last bits of exp() and log() differ between processors."""
    if isinstance(value, tuple):
        return [rounded(part) for part in value]
    return float(f"{value:.10g}") if isinstance(value, float) else value
