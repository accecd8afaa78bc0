"""From the results of chunks to the numbers that a statistician reads.

Imbalances come in parts of a subject and leave in subjects. Whatever order the chunks come in, the
summary is the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from randomization.simulation.measures import parts
from randomization.simulation.plan import Plan
from randomization.simulation.rules import Floats

Chunks = Mapping[int, Sequence[Mapping[str, Any]]]  # by number: the results of each method


@dataclass(frozen=True)
class Spread:
    """One measure over the trials."""

    mean: float
    low: float  # 5% of the trials are below
    high: float  # 5% are above


@dataclass(frozen=True)
class ArmCount:
    """How many subjects one arm got. `expected` by the ratio; `off`: share of trials in which it
    is more than 5% of that away from it.
    """

    arm: str
    expected: float
    spread: Spread
    off: float


@dataclass(frozen=True)
class Balance:
    """The imbalance of one stratum, or the largest over one factor's levels, when a trial ends."""

    name: str
    subjects: float  # mean in a trial
    mean: float
    high: float
    most: float


@dataclass(frozen=True)
class Outcome:
    """One method over all trials done so far. `measures` by the names in `MEASURES`."""

    label: str
    arms: tuple[ArmCount, ...]
    measures: Mapping[str, Spread]
    strata: tuple[Balance, ...]
    factors: tuple[Balance, ...]
    curve: tuple[tuple[int, float], ...]  # subjects entered, mean imbalance of the whole trial


@dataclass(frozen=True)
class Measure:
    """How a measure is told. `scale`: a percentage, subjects, or a plain number."""

    name: str
    title: str
    scale: str


MEASURES = tuple(
    Measure(*each)
    for each in (
        ("imbalance_end", "Imbalance of the whole trial, at the end", "subjects"),
        ("imbalance_most", "Imbalance of the whole trial, largest on the way", "subjects"),
        ("stratum_end", "Imbalance of the worst stratum, at the end", "subjects"),
        ("stratum_most", "Imbalance of the worst stratum, largest on the way", "subjects"),
        ("loss", "Loss of efficiency", "subjects"),
        ("guess_stratum", "Correct guesses, seeing the stratum", "percent"),
        ("guess_centre", "Correct guesses, seeing one's centre", "percent"),
        ("best_guess", "Correct guesses, knowing history and block size", "percent"),
        ("certain", "Allocations certain by history and block size", "percent"),
        ("bias_stratum", "Selection bias, seeing the stratum", "number"),
        ("bias_centre", "Selection bias, seeing one's centre", "number"),
    )
)
_IN_PARTS = {"imbalance_end", "imbalance_most", "stratum_end", "stratum_most"}


def summarize(plan: Plan, chunks: Chunks) -> list[Outcome]:
    """One outcome for each method of the plan. Without chunks there are none."""
    if not chunks:
        return []
    ordered = [chunks[number] for number in sorted(chunks)]
    return [
        _outcome(plan, contender.label, [chunk[place] for chunk in ordered])
        for place, contender in enumerate(plan.contenders)
    ]


def _outcome(plan: Plan, label: str, chunks: Sequence[Mapping[str, Any]]) -> Outcome:
    unit = parts(plan.ratio)
    counts = np.concatenate([np.asarray(each["counts"]) for each in chunks])
    trials = len(counts)
    names = plan.stratum_names()
    return Outcome(
        label=label,
        arms=tuple(_arm(plan, arm, counts[:, arm]) for arm in range(len(plan.arms))),
        measures={measure.name: _measure(measure.name, chunks, unit) for measure in MEASURES},
        strata=tuple(
            _balance(name, [each["strata"][place] for each in chunks], trials, unit)
            for place, name in enumerate(names)
        ),
        factors=tuple(
            _balance(factor.name, [{"imbalance": each["levels"][at]} for each in chunks], 0, unit)
            for at, factor in enumerate(plan.factors)
        ),
        curve=_curve([each["curve"] for each in chunks], trials, unit),
    )


def spread(values: Floats) -> Spread:
    """Mean and quantiles of one value for each trial."""
    low, high = np.quantile(values, [0.05, 0.95])
    return Spread(float(values.mean()), float(low), float(high))


def _measure(name: str, chunks: Sequence[Mapping[str, Any]], unit: int) -> Spread:
    values = np.concatenate([np.asarray(each["trials"][name], float) for each in chunks])
    return spread(values / unit if name in _IN_PARTS else values)


def _arm(plan: Plan, arm: int, counts: Floats) -> ArmCount:
    code, ratio = plan.arms[arm]
    expected = plan.accrual.subjects * ratio / sum(plan.ratio)
    off = float((np.abs(counts - expected) > 0.05 * expected).mean())
    return ArmCount(code, expected, spread(counts.astype(float)), off)


def _balance(name: str, found: Sequence[Mapping[str, Any]], trials: int, unit: int) -> Balance:
    times: Counter[int] = Counter()
    for each in found:
        times.update({int(value): number for value, number in each["imbalance"].items()})
    values = np.repeat(list(times), list(times.values())) / unit
    subjects = sum(each.get("subjects", 0) for each in found) / max(trials, 1)
    high = float(np.quantile(values, 0.95))
    return Balance(name, subjects, float(values.mean()), high, float(values.max()))


def _curve(
    found: Sequence[Mapping[str, Any]], trials: int, unit: int
) -> tuple[tuple[int, float], ...]:
    total = np.sum([each["sum"] for each in found], axis=0) / trials / unit
    return tuple(zip(found[0]["after"], total.tolist(), strict=True))
