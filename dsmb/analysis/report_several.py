"""The summary and the results of a comparison of more than two arms: all at once, and in pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsmb.analysis.comparison import Comparison, EndPointOfSeveral
from dsmb.analysis.counting import NotEstimable
from dsmb.analysis.course import Arm
from dsmb.analysis.formats import (
    DAYS_PER_MONTH,
    HAZARD_RATIO,
    LOGRANK,
    RERANDOMIZATION,
    WIDTH,
    arm_json,
    counts_json,
    counts_lines,
    not_estimable,
    outcome_lines,
    p_text,
    periods_json,
    periods_text,
    statistic,
    wrapped,
)
from dsmb.analysis.outcome import PARAMS
from dsmb.analysis.pairs import Pair
from dsmb.analysis.rerandomization import ReRandomization
from dsmb.analysis.several import Compared, Overall
from dsmb.analysis.survival import Cox, LogRank

UNADJUSTED = (
    "No p-value is adjusted for the number of arms or pairs. Whether and how to adjust is the "
    "committee's decision."
)
OVERALL = ("chi2", "degrees_of_freedom", "p", "observed", "expected")
NONE = "-"  # in the table; the reason stands below it


def results_of_several(comparison: Comparison, subjects: Sequence[str]) -> dict[str, Any]:
    """The numbers for machines. `subjects`: those at the cut, in subject order."""
    return {
        "days_per_month": DAYS_PER_MONTH,
        "multiplicity": UNADJUSTED,
        "arms": [counts_json(counts) for counts in comparison.counts],
        "pairs": [_pair_json(pair) for pair in comparison.pairs],
        "periods": periods_json(comparison.periods, subjects),
        "end_points": {point.param: _end_point_json(point) for point in comparison.several},
    }


def summary_of_several(comparison: Comparison) -> list[str]:
    """The lines of the closed report below its heading."""
    lines = counts_lines(comparison.counts, _name)
    for point in comparison.several:
        lines += ["", *_end_point_lines(point)]
    lines += ["", "-" * WIDTH]
    return lines + [line for note in _notes(comparison) for line in wrapped(note, indent="  ")]


def _name(arm: Arm) -> str:
    label = f"{arm.label[:34]} (control)" if arm.control else arm.label[:44]
    return f"{arm.code}  {label}"


def _title(pair: Pair) -> str:
    return f"{pair.first} : {pair.second}"


def _end_point_lines(point: EndPointOfSeveral) -> list[str]:
    lines = outcome_lines(point.param, point.arms, _name)
    if isinstance(point.overall, Overall):
        freedom = point.overall.degrees_of_freedom
        plural = "" if freedom == 1 else "s"
        lines.append(
            f"  All arms: log-rank chi-squared {point.overall.chi2:.2f} with {freedom} "
            f"degree{plural} of freedom, {p_text(point.overall.p)}"
        )
    else:
        lines += not_estimable("All arms: log-rank test", point.overall)
    tested = any(each.rerandomization is not None for each in point.pairs)
    lines.append(
        _row("Pair", "hazard ratio (95% CI)", "log-rank chi2, p", "re-randomization p" * tested)
    )
    for each in point.pairs:
        lines.append(_row(*_cells(each)))
    return lines + [line for each in point.pairs for line in _reasons(each)]


def _reasons(each: Compared) -> list[str]:
    """Why numbers of a pair are missing; both for one reason is said once."""
    ratio, test, title = each.hazard_ratio, each.logrank, _title(each.pair)
    if ratio == test and isinstance(ratio, NotEstimable):
        return not_estimable(title, ratio)
    named = (("hazard ratio", ratio), ("log-rank test", test))
    missing = [(name, value) for name, value in named if isinstance(value, NotEstimable)]
    return [line for name, value in missing for line in not_estimable(f"{title}: {name}", value)]


def _row(pair: str, ratio: str, test: str, again: str) -> str:
    return f"  {pair:<20}{ratio:<27}{test:<21}{again}".rstrip()


def _cells(each: Compared) -> tuple[str, str, str, str]:
    ratio, test, again = NONE, NONE, "" if each.rerandomization is None else NONE
    if isinstance(each.hazard_ratio, Cox):
        found = each.hazard_ratio
        ratio = f"{_short(found.hazard_ratio)} ({_short(found.low)} to {_short(found.high)})"
    if isinstance(each.logrank, LogRank):
        test = f"{each.logrank.chi2:.2f}, {p_text(each.logrank.p_two_sided)}"
    if isinstance(each.rerandomization, ReRandomization):
        done = each.rerandomization
        again = f"{p_text(done.p_two_sided)} ({done.low:.4f} to {done.high:.4f})"
    return _title(each.pair), ratio, test, again


def _short(ratio: float) -> str:
    """Six characters at most, so that the three of a cell stay in their column."""
    if ratio < 0.005:
        return "<0.005"
    return f"{ratio:.2f}" if ratio < 999.995 else ">=1000"


def _notes(comparison: Comparison) -> list[str]:
    """What the numbers are, once for the page."""
    notes = [
        "Pairs: hazard ratio by a stratified Cox model (Efron), the pair's first arm to its second;"
        " below 1 favours the first. Where a reason names an experimental and a control arm, these"
        " are the pair's first and second.",
        "Log-rank: stratified by the randomization strata, p two-sided; a pair is tested on its own"
        " subjects.",
        f"Medians: Kaplan-Meier, log-log interval, months of {DAYS_PER_MONTH} days. NR: not"
        " reached.",
        UNADJUSTED,
    ]
    if not any(counts.arm.control for counts in comparison.counts):
        notes.append("The study file marks no arm as control: every pair is compared.")
    return notes + _by_period(comparison) + _how_repeated(comparison)


def _by_period(comparison: Comparison) -> list[str]:
    if len(comparison.periods) < 2:
        return []
    counted = comparison.several[0].pairs
    some = [f"{_title(each.pair)} {each.left_out}" for each in counted if each.left_out]
    return [
        "Arms open to new subjects and their ratio (subjects randomized):"
        f" {periods_text(comparison.periods)}. A pair is compared on those randomized while both"
        " its arms were open. All hazard ratios and tests are stratified by these periods too;"
        " events and medians are of all subjects of an arm. Left out of a pair:"
        f" {', '.join(some) or 'nobody'}."
    ]


def _how_repeated(comparison: Comparison) -> list[str]:
    done = (each.rerandomization for point in comparison.several for each in point.pairs)
    again = next((each for each in done if isinstance(each, ReRandomization)), None)
    if again is None:
        return []
    return [
        "Re-randomization: where the pair's standardized log-rank statistic lies when the subjects"
        f" of all arms are randomized again as they were, {again.repeats:,} times with seed"
        f" {again.seed}; p two-sided, with its interval by simulation. Its hypothesis is that no"
        " arm changes anybody's outcome."
    ]


def _end_point_json(point: EndPointOfSeveral) -> dict[str, Any]:
    return {
        "label": PARAMS[point.param],
        "arms": [arm_json(arm) for arm in point.arms],
        "overall_logrank": statistic(point.overall, OVERALL),
        "pairs": [_compared_json(each) for each in point.pairs],
    }


def _pair_json(pair: Pair) -> dict[str, str]:
    return {"first": pair.first, "second": pair.second}


def _compared_json(each: Compared) -> dict[str, Any]:
    numbers = {
        **_pair_json(each.pair),
        "subjects": each.subjects,
        "left_out": each.left_out,
        "hazard_ratio": statistic(each.hazard_ratio, HAZARD_RATIO),
        "logrank": statistic(each.logrank, LOGRANK),
    }
    if each.rerandomization is None:
        return numbers
    return numbers | {"rerandomization": statistic(each.rerandomization, RERANDOMIZATION)}
