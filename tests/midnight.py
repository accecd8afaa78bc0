"""A test during which a day ends, at a centre of the tests or in UTC, is run once more.

Many tests read the day, act, and expect that day; a time is shown shorter while it is the same day
at a centre as in UTC. Rows have the database's own time, which no test can stop. So a failure
counts only when the day was one and the same, at every centre, from its beginning to its end.
"""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from _pytest.runner import runtestprotocol

from trial.nature.centres import COUNTRIES

ZONES = (UTC, *(ZoneInfo(name) for *_, names in COUNTRIES for name in names))


def days() -> list[date]:
    """The days on the calendars that count."""
    moment = datetime.now(UTC)
    return [moment.astimezone(zone).date() for zone in ZONES]


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    begun = days()
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    if any(each.failed for each in reports) and days() != begun:
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
