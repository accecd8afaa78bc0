"""The figures of a run: guessing against balance, balance on the way, arm counts, efficiency."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from randomization.simulation.plots import BOTTOM, RIGHT, TOP, WIDTH, Axis, Chart
from randomization.simulation.summary import Outcome, Spread

ROW = 26  # height of a row with a bar
NAMES = 34  # room for the number of a row
LABEL = 11  # height of the number beside a curve


@dataclass(frozen=True)
class Figure:
    """One figure: its title, what it shows in words, and the picture."""

    title: str
    told: str
    svg: str


def figures(outcomes: Sequence[Outcome]) -> list[Figure]:
    """All figures; series are told by their number, from 1, in the order of the methods."""
    if not outcomes:
        return []
    arm = outcomes[0].arms[0]
    return [
        _trade_off(outcomes),
        _on_the_way(outcomes),
        _bars(
            outcomes,
            f"Subjects on arm {arm.arm}",
            "Nine of ten trials lie on the bar. The dot is the mean, the dashed line the ratio's "
            f"share, {arm.expected:.6g}.",
            lambda outcome: outcome.arms[0].spread,
            line=arm.expected,
        ),
        _bars(
            outcomes,
            "Loss of efficiency in subjects",
            "Nine of ten trials lie on the bar. The dot is the mean; the dashed line is no loss.",
            lambda outcome: outcome.measures["loss"],
            line=0.0,
        ),
    ]


def _trade_off(outcomes: Sequence[Outcome]) -> Figure:
    points = [
        (each.measures["stratum_end"].mean, each.measures["guess_stratum"].mean)
        for each in outcomes
    ]
    chart = Chart(
        Axis("Imbalance of the worst stratum at the end (subjects, mean)", 0, _above(points, 0)),
        Axis("Correct guesses", *_around([y for _, y in points]), percent=True),
    )
    for number, point in enumerate(points):
        chart.point(point, number)
    told = (
        "Further left is better balance, further down is harder to guess. Guesses of somebody who "
        "sees the earlier arms of the stratum."
    )
    return Figure("Guessing against balance", told, chart.svg("Guessing against balance"))


def _on_the_way(outcomes: Sequence[Outcome]) -> Figure:
    curves = [each.curve for each in outcomes]
    points = [point for curve in curves for point in curve]
    chart = Chart(
        Axis("Subjects entered", 0, max(x for x, _ in points)),
        Axis("Imbalance of the trial (subjects)", 0, _above(points, 1)),
    )
    for number, curve in enumerate(curves):
        chart.line(curve, number)
    for number, height in _apart([chart.y(curve[-1][1]) for curve in curves]):
        chart.text(WIDTH - RIGHT + 3, height + 4, str(number + 1))
    told = "Mean over the trials of the largest distance of an arm from its share, as it grows."
    return Figure("Balance on the way", told, chart.svg("Balance on the way"))


def _bars(
    outcomes: Sequence[Outcome],
    title: str,
    told: str,
    of: Callable[[Outcome], Spread],
    *,
    line: float,
) -> Figure:
    found = [of(each) for each in outcomes]
    ends = [value for each in found for value in (each.low, each.high, line)]
    height = TOP + BOTTOM + ROW * len(found)
    chart = Chart(Axis(title, *_around(ends)), Axis("", 0, len(found)), height=height, left=NAMES)
    chart.upright(line)
    for number, each in enumerate(found):
        row = len(found) - number - 0.5
        chart.text(10, chart.y(row) + 4, str(number + 1))
        chart.bar(row, each.low, each.high, each.mean, number)
    return Figure(title, told, chart.svg(title, rows=True))


def _apart(heights: Sequence[float]) -> list[tuple[int, float]]:
    """Each series with a height for its label, near the wanted one and clear of the others."""
    placed: list[tuple[int, float]] = []
    for number in sorted(range(len(heights)), key=lambda each: -heights[each]):
        lowest = placed[-1][1] - LABEL if placed else heights[number]
        placed.append((number, min(heights[number], lowest)))
    return placed


def _above(points: Sequence[tuple[float, float]], at: int) -> float:
    return max(*(point[at] for point in points), 0.1) * 1.12


def _around(values: Sequence[float]) -> tuple[float, float]:
    """A range a little wider than the values, also when they are all the same."""
    low, high = min(values), max(values)
    room = max((high - low) * 0.15, abs(high) * 0.01, 0.01)
    return low - room, high + room
