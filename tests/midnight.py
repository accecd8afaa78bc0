"""A test during which a day ends, at the centres of the tests or in UTC, is run once more.

Many tests read the day, act, and expect that day. Rows have the database's own time, which no test
can stop. In the minutes around midnight a failure counts only when the day was one and the same
from the test's beginning to its end; at any other time pytest does as always.
"""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from _pytest.runner import runtestprotocol

ZONES = (UTC, ZoneInfo("Europe/Paris"))
LONGEST = timedelta(minutes=10)  # of a test that reads the real day


def days(after: timedelta = timedelta(0)) -> list[date]:
    """The days on the calendars that count, so long after now."""
    moment = datetime.now(UTC) + after
    return [moment.astimezone(zone).date() for zone in ZONES]


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    begun = days()
    if days(LONGEST) == begun:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, log=False, nextitem=nextitem)
    if any(each.failed for each in reports) and days() != begun:
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True
