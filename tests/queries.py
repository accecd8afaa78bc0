"""Count what a page asks of the database."""

from collections.abc import Callable
from datetime import UTC, datetime

import time_machine
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext


def queries_of(browser: Client, address: str) -> list[str]:
    """The statements of the second of two requests of one moment.

    A session is written once a minute: the first request does that, and with the clock standing
    still no second minute begins between the two, however slow the machine.
    """
    with time_machine.travel(datetime.now(UTC), tick=False):
        browser.get(address)
        with CaptureQueriesContext(connection) as seen:
            assert browser.get(address).status_code == 200
    return [each["sql"] for each in seen]


def statements_of(work: Callable[[], object]) -> list[str]:
    """The statements that a piece of work sends."""
    with CaptureQueriesContext(connection) as seen:
        work()
    return [each["sql"] for each in seen]
