"""Accrual by month, and the drawing of it: numbers first, lines from the numbers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from django.db.models import Count
from django.db.models.functions import TruncMonth

from iwrs.models import Study

WIDTH, HEIGHT = 360, 230
LEFT, RIGHT, TOP, BOTTOM = 34, 8, 12, 26


@dataclass(frozen=True)
class Month:
    """Subjects randomized in one calendar month (UTC) and up to its end."""

    first_day: date
    randomized: int
    total: int


@dataclass(frozen=True)
class Tick:
    """A mark on an axis: where, and what it says."""

    at: float
    label: str


@dataclass(frozen=True)
class Chart:
    """Everything the SVG template draws, in units of its view box."""

    actual: str
    planned_y: float
    months: list[Tick]
    subjects: list[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


def months_of(study: Study, until: date) -> list[Month]:
    """Every month from the first randomization to `until`, also those without any."""
    rows = (
        study.randomizations.annotate(month=TruncMonth("occurred_at"))
        .values("month")
        .annotate(n=Count("pk"))
        .order_by("month")
    )
    counts = {row["month"].date(): row["n"] for row in rows}
    if not counts:
        return []
    months, total = [], 0
    for first_day in _calendar(min(counts), max(until, max(counts))):
        total += counts.get(first_day, 0)
        months.append(Month(first_day, counts.get(first_day, 0), total))
    return months


def chart(months: Sequence[Month], planned: int) -> Chart:
    """Total randomized at each month's end, against the number planned."""
    top = _round_up(max(planned, months[-1].total if months else 0))
    across = (WIDTH - LEFT - RIGHT) / max(len(months), 1)

    def y(n: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * n / top, 1)

    points: list[tuple[float, float]] = [(LEFT, y(0))]
    points += [(round(LEFT + across * i, 1), y(m.total)) for i, m in enumerate(months, start=1)]
    every = max(1, -(-len(months) // 4))
    return Chart(
        actual=" ".join(f"{x},{height}" for x, height in points),
        planned_y=y(planned),
        months=[
            Tick(round(LEFT + across * i, 1), f"{m.first_day:%b %Y}")
            for i, m in enumerate(months)
            if i % every == 0
        ],
        subjects=[Tick(y(top * part / 4), f"{top * part // 4}") for part in range(5)],
    )


def _calendar(first: date, last: date) -> Iterator[date]:
    year, month = first.year, first.month
    while (year, month) <= (last.year, last.month):
        yield date(year, month, 1)
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)


def _round_up(n: int) -> int:
    """The next number that four equal steps divide well."""
    step = 4
    for factor in (5, 2, 5, 2, 5, 2):
        if n <= step * 10:
            break
        step *= factor
    return max(step, -(-n // step) * step)
