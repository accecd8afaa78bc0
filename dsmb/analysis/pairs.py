"""Which arms of more than two are compared with each other, and which subjects count for it; and
the periods in which subjects were randomized among the same arms in one ratio.

A subject counts for a pair only when both arms took new subjects at that time: an arm that a later
list dropped is compared with those who could have got it (concurrent controls), since a trend over
calendar time would else pass for an effect (FDA, Master Protocols, draft guidance 2023, section on
non-concurrent control data). For the same reason every test is stratified by period: where a later
list changed the ratio, an arm has more of its subjects early and another more of them late.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import gcd

from dsmb.analysis.course import Arm
from dsmb.analysis.rerandomization import Procedure


@dataclass(frozen=True)
class Pair:
    """Two arms by code; the hazard ratio is the first one's to the second one's."""

    first: str
    second: str


@dataclass(frozen=True)
class Period:
    """Subjects (by place among those asked for) who were randomized among the same open arms in
    the same ratio. `ratio`: that of `codes` in lowest terms; empty when no procedure tells it.
    """

    codes: tuple[str, ...]
    places: tuple[int, ...]
    ratio: tuple[int, ...] = ()

    def has(self, pair: Pair) -> bool:
        """Whether both arms took new subjects."""
        return pair.first in self.codes and pair.second in self.codes


def pairs_of(arms: Sequence[Arm]) -> tuple[Pair, ...]:
    """Each arm that is no control against each control; every pair when there is no such pair.

    Without a control, the earlier arm is the pair's first.
    """
    controls = [arm.code for arm in arms if arm.control]
    others = [arm.code for arm in arms if not arm.control]
    if controls and others:
        return tuple(Pair(first, second) for second in controls for first in others)
    return tuple(Pair(*each) for each in combinations([arm.code for arm in arms], 2))


def periods_of(
    procedures: Sequence[Procedure], subjects: Sequence[str], codes: Sequence[str]
) -> tuple[Period, ...]:
    """The periods in the order of the procedures, arms in the order of `codes`.

    Procedures with the same arms in the same ratio are one period, whatever their method. Who is in
    no procedure (when none is told) is taken to have had every arm open.
    """
    place = {subject: number for number, subject in enumerate(subjects)}
    found: dict[tuple[tuple[str, ...], tuple[int, ...]], list[int]] = {}
    for procedure in procedures:
        given = dict(procedure.arms)
        mine = [place.pop(subject) for subject in procedure.subjects if subject in place]
        if mine:
            opened = tuple(code for code in codes if code in given)
            ratio = _lowest([given[code] for code in opened])
            found.setdefault((opened, ratio), []).extend(mine)
    if place:
        found.setdefault((tuple(codes), ()), []).extend(place.values())
    return tuple(
        Period(opened, tuple(sorted(places)), ratio) for (opened, ratio), places in found.items()
    )


def within(periods: Sequence[Period], strata: Sequence[str]) -> tuple[str, ...]:
    """The strata of the tests: each randomization stratum within each period."""
    number = {place: at for at, period in enumerate(periods) for place in period.places}
    return tuple(f"{number[place]} {stratum}" for place, stratum in enumerate(strata))


def _lowest(ratio: Sequence[int]) -> tuple[int, ...]:
    """2:2 is the same as 1:1: each arm has the same chance."""
    return tuple(each // gcd(*ratio) for each in ratio)
