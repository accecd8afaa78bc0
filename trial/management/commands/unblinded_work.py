"""`manage.py unblinded_work --once|--watch`: do what waits for the unblinded side.

The same work as that of the unblinded Celery worker, taken from the same rows, without Redis.
"""

import argparse
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import structlog
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connection

from dispensing.unblinded.services import work_supply_runs
from iwrs.tasks import without_values

SHORTEST, LONGEST = 0.02, 1.0  # seconds between two looks
SLOWLY = 60.0  # seconds between two looks for what may wait
log = structlog.get_logger(__name__)


class Command(BaseCommand):
    help = "Do what waits (supply, extracts, packs, simulations, notices), once or until stopped."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        how = parser.add_mutually_exclusive_group(required=True)
        how.add_argument("--once", action="store_true", help="do what waits now, then end")
        how.add_argument("--watch", action="store_true", help="look again until SIGTERM")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.SIDE != "unblinded":
            raise CommandError("This is the unblinded side's work. Set IWRS_SIDE=unblinded.")
        if options["once"]:
            self.stdout.write(f"{work()} done.")
        else:
            self._watch()

    def _watch(self) -> None:
        """Look often while there is work, ever more rarely when there is none."""
        stop = threading.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: stop.set())
        self.stdout.write("Watching.")
        self.stdout.flush()
        pause, looked = SHORTEST, -SLOWLY
        while not stop.wait(pause):
            slow = time.monotonic() - looked >= SLOWLY
            if slow:
                looked = time.monotonic()
            done = sum(_safely(each) for each in _kinds(slow=slow))
            pause = SHORTEST if done else min(pause * 1.5, LONGEST)


def work() -> int:
    """Do what waits, and return how many rows were taken."""
    return sum(each() for each in _kinds(slow=True))


def _kinds(*, slow: bool) -> list[Callable[[], int]]:
    """The kinds of work: those that somebody waits for, and `slow` ones that may wait a minute."""
    # A late import: extracts need the statistics packages, which take a second to load.
    from dsmb.unblinded.packs import work_packs
    from dsmb.unblinded.paper import work_papers
    from dsmb.unblinded.services import work_extracts
    from randomization.unblinded.notices import work_notices
    from randomization.unblinded.simulations import work_simulations

    waited_for: list[Callable[[], int]] = [work_supply_runs, work_extracts, work_simulations]
    return waited_for + ([work_packs, work_papers, work_notices] if slow else [])


def _safely(kind: Callable[[], int]) -> int:
    """One kind of work; an error is logged without its values and a lost connection is renewed."""
    try:
        return kind()
    except DatabaseError as error:
        log.error("unblinded work failed", **without_values(error))
        connection.close()
    except Exception as error:
        log.error("unblinded work failed", **without_values(error))
    return 0
