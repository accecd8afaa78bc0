"""Tasks and wake-ups. A task fetches and calls a service; what is due is found in rows.

The name of a task of the unblinded worker starts with `unblinded_` after its module: settings
route it to the queue `unblinded`. It takes no arguments, gives no result and lets no exception
out.
"""

import traceback
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path

import structlog
from celery import Task, shared_task
from django.conf import settings

from iwrs import outbox
from iwrs.celery import app
from iwrs.models import Study

# What the unblinded worker looks for. All are woken together: a wake-up does not say why.
UNBLINDED_WORK = (
    "dispensing.tasks.unblinded_work_supply_runs",
    "dsmb.tasks.unblinded_work_extracts",
)
SECONDS_OF_A_WAKE_UP = 55  # the next one comes in a minute; old ones must not pile up
# A person waits for the act that wakes the worker: one short attempt, then leave it to beat.
ONE_ATTEMPT = {"max_retries": 0, "socket_timeout": 1, "socket_connect_timeout": 1}
log = structlog.get_logger(__name__)


@shared_task(name="iwrs.tasks.deliver_outbox")
def deliver_outbox() -> None:
    """Send the letters that are due."""
    outbox.deliver_due()


def wake_unblinded(names: Sequence[str] = UNBLINDED_WORK) -> None:
    """Tell the unblinded worker that there may be work. Call it after the commit.

    Best effort: the work is a row and beat wakes the worker every minute, so a Redis that is down
    costs a minute and must not fail the act.
    """
    try:
        _send(names)
    except Exception as error:
        log.warning("unblinded worker not woken", error=type(error).__name__)


def _send(names: Sequence[str]) -> None:
    if not settings.REDIS_URL:
        raise ConnectionError("REDIS_URL is not set")
    options = {**app.conf.broker_transport_options, **ONE_ATTEMPT}
    with app.connection_for_write(transport_options=options) as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=1)
        for name in names:
            app.send_task(name, connection=connection, expires=SECONDS_OF_A_WAKE_UP, retry=False)


def unblinded_task(work: Callable[[], object]) -> Task:
    """Make `work` a task of the unblinded worker, under its own module and name."""

    @wraps(work)
    def run() -> None:
        try:
            work()
        except Exception as error:
            log.error("unblinded work failed", work=work.__name__, **without_values(error))

    return shared_task(name=f"{work.__module__}.{work.__name__}")(run)


@unblinded_task
def unblinded_deliver_letters() -> None:
    """Send the letters of the unblinded side that are due, a few in each minute.

    Its one worker has other work too, which must not wait long for a mail server that hangs.
    """
    outbox.deliver_due(limit=5)


def without_values(error: BaseException) -> dict[str, object]:
    """What a log may say of an error on the unblinded side: its kind and where it happened.

    The text of an exception often repeats values (PostgreSQL's shows the failing row).
    """
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    where = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in frames]
    return {"error": type(error).__name__, "where": where}


def for_each_study(task: Task) -> None:
    """Send one task for each study that has a definition and is not in preparation.

    One study that fails does not keep the others waiting.
    """
    studies = Study.objects.exclude(status=Study.Status.DRAFT).filter(versions__isnull=False)
    for pk in studies.order_by("pk").distinct().values_list("pk", flat=True):
        task.delay(pk)
