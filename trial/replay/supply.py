"""Asking the unblinded worker for a supply run, and waiting for it as a trial would for a van."""

import time
from datetime import datetime

from dispensing.models import SupplyRun
from dispensing.services import request_supply
from iwrs.actors import SYSTEM
from iwrs.models import Study

SECONDS_TO_WAIT = 60
POLL_SECONDS = 0.01


class NoSupply(RuntimeError):
    """The unblinded worker did not answer."""


def ask_and_wait(study: Study, moment: datetime) -> None:
    """Queue a supply run as of `moment` and return when the unblinded side has done it."""
    run = request_supply(study, by=SYSTEM)
    deadline = time.monotonic() + SECONDS_TO_WAIT
    while time.monotonic() < deadline:
        status = SupplyRun.objects.values_list("status", flat=True).get(pk=run.pk)
        if status == SupplyRun.Status.DONE:
            return
        if status == SupplyRun.Status.FAILED:
            raise NoSupply(f"The supply run of {moment:%Y-%m-%d} failed; see the unblinded log.")
        time.sleep(POLL_SECONDS)
    raise NoSupply(
        f"No supply run was done within {SECONDS_TO_WAIT} seconds. Is the unblinded worker "
        "running? Start it with: celery -A iwrs worker --queues unblinded"
    )
