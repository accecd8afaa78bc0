"""Figures as SVG text, the same on the page and on paper. Every series has a shape of its own
beside its colour, so that nobody depends on colours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 520, 300
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 14, 46
# Okabe and Ito's colours, which differ for colour-blind people too.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#b8860b", "#000000", "#7f3c8d")
DASHES = ("", "6 3", "2 2", "8 3 2 3", "1 3", "10 4", "4 4 1 4", "3 6")
TEXT = 'font-family="Libertinus Serif, Georgia, serif" font-size="12" fill="#222"'


@dataclass(frozen=True)
class Axis:
    """One axis: what it says, and the range that it has to show."""

    title: str
    low: float
    high: float
    percent: bool = False

    def ticks(self) -> list[float]:
        """Round numbers over the range, about five."""
        span = max(self.high - self.low, 1e-9)
        rough = span / 5
        step = 10.0 ** floor(log10(rough))
        step *= next((times for times in (1, 2, 2.5, 5, 10) if times * step >= rough), 10)
        first, last = ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9)
        return [round(place * step, 10) for place in range(first, last + 1)]

    def told(self, value: float) -> str:
        """A tick as text."""
        return f"{value * 100:.4g}%" if self.percent else f"{value:.6g}"


@dataclass
class Chart:
    """A figure that is being drawn. Coordinates are those of the axes."""

    across: Axis
    up: Axis
    height: int = HEIGHT
    left: int = LEFT
    marks: list[str] = field(default_factory=list)

    def x(self, value: float) -> float:
        share = (value - self.across.low) / max(self.across.high - self.across.low, 1e-9)
        return round(self.left + share * (WIDTH - self.left - RIGHT), 2)

    def y(self, value: float) -> float:
        share = (value - self.up.low) / max(self.up.high - self.up.low, 1e-9)
        return round(self.height - BOTTOM - share * (self.height - TOP - BOTTOM), 2)

    def line(self, points: Sequence[tuple[float, float]], number: int) -> None:
        """A curve in the colour and dash of series `number`."""
        path = " ".join(f"{self.x(x)},{self.y(y)}" for x, y in points)
        dash = f' stroke-dasharray="{DASHES[number % 8]}"' if DASHES[number % 8] else ""
        self.marks.append(
            f'<polyline points="{path}" fill="none" stroke="{COLOURS[number % 8]}" '
            f'stroke-width="1.8"{dash}/>'
        )

    def point(self, at: tuple[float, float], number: int) -> None:
        """A dot with the number of its series inside, counted from 1."""
        x, y = self.x(at[0]), self.y(at[1])
        self.marks.append(f'<circle cx="{x}" cy="{y}" r="9" fill="{COLOURS[number % 8]}"/>')
        self.text(x, y + 4, str(number + 1), anchor="middle", colour="#fff")

    def bar(self, row: float, low: float, high: float, middle: float, number: int) -> None:
        """A range with its middle, lying in a row."""
        colour, y = COLOURS[number % 8], self.y(row)
        self.marks.append(
            f'<line x1="{self.x(low)}" x2="{self.x(high)}" y1="{y}" y2="{y}" stroke="{colour}" '
            'stroke-width="7" stroke-opacity="0.45" stroke-linecap="round"/>'
        )
        self.marks.append(f'<circle cx="{self.x(middle)}" cy="{y}" r="4.5" fill="{colour}"/>')

    def upright(self, value: float) -> None:
        """A thin line over the whole height, at a value to compare with."""
        x = self.x(value)
        self.marks.append(
            f'<line x1="{x}" x2="{x}" y1="{TOP}" y2="{self.height - BOTTOM}" stroke="#555" '
            'stroke-dasharray="3 3"/>'
        )

    def text(
        self, x: float, y: float, words: str, *, anchor: str = "start", colour: str = "#222"
    ) -> None:
        made = TEXT.replace("#222", colour)
        self.marks.append(
            f'<text x="{x}" y="{y}" text-anchor="{anchor}" {made}>{escape(words)}</text>'
        )

    def svg(self, label: str, *, rows: bool = False) -> str:
        """The whole figure; `rows`: the upward axis has rows with names, not numbers."""
        frame = [] if rows else [_up(self, tick) for tick in self.up.ticks()]
        frame += [_across(self, tick) for tick in self.across.ticks()]
        titles = Chart(self.across, self.up, self.height, self.left)
        middle = (self.left + WIDTH - RIGHT) / 2
        titles.text(middle, self.height - 8, self.across.title, anchor="middle")
        if not rows:
            at = f'transform="rotate(-90 14 {(self.height - BOTTOM) / 2})"'
            titles.text(14, (self.height - BOTTOM) / 2, self.up.title, anchor="middle")
            titles.marks[-1] = titles.marks[-1].replace("<text", f"<text {at}")
        inside = "".join([*frame, *self.marks, *titles.marks])
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" '
            f'role="img" aria-label="{escape(label)}">{inside}</svg>'
        )


def _up(chart: Chart, tick: float) -> str:
    y = chart.y(tick)
    words = escape(chart.up.told(tick))
    return (
        f'<line x1="{chart.left}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" stroke="#ddd"/>'
        f'<text x="{chart.left - 6}" y="{y + 4}" text-anchor="end" {TEXT}>{words}</text>'
    )


def _across(chart: Chart, tick: float) -> str:
    x, base = chart.x(tick), chart.height - BOTTOM
    words = escape(chart.across.told(tick))
    return (
        f'<line x1="{x}" x2="{x}" y1="{TOP}" y2="{base}" stroke="#eee"/>'
        f'<text x="{x}" y="{base + 16}" text-anchor="middle" {TEXT}>{words}</text>'
    )
