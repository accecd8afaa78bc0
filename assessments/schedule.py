"""Schedule arithmetic: when visits are due. No Django."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from iwrs.definition import Schedule


@dataclass(frozen=True)
class PlannedVisit:
    """One visit: its number from 1, its due day, and the first and last day of its window."""

    number: int
    due_on: date
    window_from: date
    window_to: date


def planned_visit(schedule: Schedule, anchor: date, number: int) -> PlannedVisit:
    """Visit `number`, counted in whole intervals from the day of randomization."""
    due_on = anchor + timedelta(days=schedule.every_days * number)
    return PlannedVisit(
        number=number,
        due_on=due_on,
        window_from=due_on - timedelta(days=schedule.window_before_days),
        window_to=due_on + timedelta(days=schedule.window_after_days),
    )


def planned_visits(
    schedule: Schedule, anchor: date, first: int, last: int
) -> Iterator[PlannedVisit]:
    """Visits `first` to `last`, both included."""
    return (planned_visit(schedule, anchor, number) for number in range(first, last + 1))
