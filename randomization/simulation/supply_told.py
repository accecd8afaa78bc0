"""Kits at centres, from the results of chunks to the few lines that a statistician reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from randomization.simulation.plan import Plan
from randomization.simulation.rules import Floats
from randomization.simulation.summary import Spread, spread
from randomization.simulation.supply import Supply

NOT_ASKED = (
    "Not simulated. To have it, say how many subjects come in a week: a line such as "
    "per_week = 12 at the top of the text that says who comes."
)
_Z = 1.959963984540054  # the normal quantile of 97.5%


@dataclass(frozen=True)
class Chance:
    """A share of the trials with its 95% interval by Wilson (J Am Stat Assoc 1927;22:209): what
    another seed would give is likely to be in it.
    """

    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Kits:
    """Kits at centres over all trials done so far; the same for every method.

    met: share of the subjects who met a stock-out. any: of the trials, those with one. days,
    days_high: of those who waited, the mean, and the days begun within which 95% had their place;
    None when nobody waited. centres: with a stock-out. cohorts: sent. left: places left over at the
    end, for each subject.
    """

    met: Spread
    any: Chance
    days: float | None
    days_high: int | None
    centres: Spread
    cohorts: Spread
    left: Spread


def summarize_supply(plan: Plan, chunks: Mapping[int, Mapping[str, Any]]) -> Kits | None:
    """From what `supply.measured` gave for each chunk. None without supply, or without chunks."""
    if plan.supply is None or not chunks:
        return None
    ordered = [chunks[number] for number in sorted(chunks)]

    def all_of(name: str) -> Floats:
        return np.concatenate([np.asarray(each[name], float) for each in ordered])

    subjects = plan.accrual.subjects
    waited, cohorts = all_of("waited"), all_of("cohorts")
    begun: Counter[int] = Counter()
    for each in ordered:
        begun.update({int(days): number for days, number in each["waits"].items()})
    some = int(waited.sum())
    return Kits(
        met=spread(waited / subjects),
        any=chance(int((waited > 0).sum()), len(waited)),
        days=float(all_of("days").sum()) / some if some else None,
        days_high=_within(begun, 0.95),
        centres=spread(all_of("centres")),
        cohorts=spread(cohorts),
        left=spread((cohorts * plan.supply.cohort_size - subjects) / subjects),
    )


def chance(times: int, trials: int) -> Chance:
    """A share with its interval: finite and wider than nothing also at 0 and at 1."""
    share, weight = times / trials, _Z**2 / trials
    middle = (share + weight / 2) / (1 + weight)
    half = sqrt(share * (1 - share) * weight + weight**2 / 4) / (1 + weight)
    return Chance(share, max(middle - half, 0.0), min(middle + half, 1.0))


def told_supply(plan: Plan, kits: Kits | None) -> dict[str, Any]:
    """The part "Kits at centres" of page, paper and command: what was assumed, and the rows."""
    if plan.supply is None:
        return {"assumed": [NOT_ASKED], "rows": []}
    return {"assumed": _assumed(plan.supply), "rows": _rows(kits) if kits else []}


def _assumed(supply: Supply) -> list[str]:
    places, days = _number(supply.cohort_size, "place"), _number(supply.lead_days, "day")
    rhythm = "day" if supply.run_every_days == 1 else f"{supply.run_every_days} days"
    left = _number(supply.restock_at, "place")
    there = f"it is there {days} later" if supply.lead_days else "it is there at once"
    return [
        f"Subjects come by chance, {supply.per_week:g} a week on average at all centres together, "
        "from the first day to the last.",
        f"Each centre begins with one cohort of {places}. Every {rhythm}, each centre with at most "
        f"{left} left and no cohort under way is sent one; {there}.",
        "A place serves one randomization, whatever the arm, so these numbers are the same for "
        "every method. Who finds no place waits for a cohort; the order of allocation stays.",
        "Kits of later visits, kits that expire, and a depot that runs out are not simulated.",
    ]


def _rows(kits: Kits) -> Sequence[dict[str, str]]:
    chance = kits.any
    within = "nobody waited"
    if kits.days_high is not None:
        within = f"95% had a place within {_number(kits.days_high, 'day')}"
    return [
        _row("Subjects who met a stock-out", kits.met, "{:.2%}"),
        {
            "title": "Trials with a stock-out",
            "main": f"{chance.share:.2%}",
            "more": f"95% interval {chance.low:.2%} to {chance.high:.2%}",
        },
        {
            "title": "Days of waiting, of those who waited",
            "main": "–" if kits.days is None else f"{kits.days:.1f}",
            "more": within,
        },
        _row("Centres with a stock-out", kits.centres, "{:.2f}"),
        _row("Cohorts sent, the first ones included", kits.cohorts, "{:.1f}"),
        _row("Places left over at the end, for each subject", kits.left, "{:.2f}"),
    ]


def _row(title: str, found: Spread, form: str) -> dict[str, str]:
    mean, low, high = (form.format(each) for each in (found.mean, found.low, found.high))
    return {"title": title, "main": mean, "more": f"{low} to {high}"}


def _within(times: Counter[int], share: float) -> int | None:
    """The fewest days within which this share of them had their place."""
    seen, wanted = 0, share * times.total()
    for days in sorted(times):
        seen += times[days]
        if seen >= wanted:
            return days
    return None


def _number(number: int, word: str) -> str:
    return f"{number} {word}{'s' * (number != 1)}"
