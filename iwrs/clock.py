"""Business time. Record time is the database's own and cannot be set.

`now()` is the real time unless the running code plays a recorded or simulated trial, in which
case `at(moment)` sets it for a block of code. A study under replay also keeps its present moment
in a row (`Study.replay_now`), so that workers in other processes see the same time.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

_moment: ContextVar[datetime | None] = ContextVar("iwrs_clock", default=None)


def now() -> datetime:
    """The present business moment, aware, in UTC."""
    return _moment.get() or datetime.now(UTC)


def study_now(replay_now: datetime | None) -> datetime:
    """The present business moment of one study.

    That of the running block (`at`), else of the study's replay (`Study.replay_now`), else real.
    """
    return _moment.get() or replay_now or datetime.now(UTC)


def today(time_zone: str = "UTC") -> date:
    """The present business date where the centre is."""
    return local_date(now(), time_zone)


def real_today(time_zone: str = "UTC") -> date:
    """Today on the real calendar there. Authority is held by it, also while a trial is replayed."""
    return local_date(datetime.now(UTC), time_zone)


def local_date(moment: datetime, time_zone: str) -> date:
    """The date that a clock on the wall of the centre shows at `moment` (aware)."""
    return moment.astimezone(ZoneInfo(time_zone)).date()


def moments_of(wall: datetime, time_zone: str) -> list[datetime]:
    """The moments (UTC) at which a clock on the wall of the centre showed `wall` (naive).

    One; two in the hour that comes twice when clocks are put back; none in the one that is skipped
    when they are put forward.
    """
    zone = ZoneInfo(time_zone)
    either = {wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return sorted(each for each in either if each.astimezone(zone).replace(tzinfo=None) == wall)


@contextmanager
def at(moment: datetime) -> Iterator[None]:
    """Run a block of code at `moment` (aware)."""
    if moment.tzinfo is None:
        raise ValueError("the clock takes aware datetimes only: give a time zone")
    token = _moment.set(moment.astimezone(UTC))
    try:
        yield
    finally:
        _moment.reset(token)
