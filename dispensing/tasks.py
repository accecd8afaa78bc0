"""Tasks of room 3."""

import structlog
from celery import shared_task

from dispensing import services
from dispensing.models import SupplyRun
from iwrs import clock
from iwrs.actors import SYSTEM
from iwrs.models import Study
from iwrs.tasks import for_each_study, unblinded_task

log = structlog.get_logger(__name__)


@shared_task(name="dispensing.tasks.request_daily_supply")
def request_daily_supply() -> None:
    """Ask for each study's supply run of the day."""
    for_each_study(request_supply_of_today)


@shared_task(name="dispensing.tasks.request_supply_of_today")
def request_supply_of_today(pk: int) -> None:
    """Ask for the supply run of the study's business day, once, or again when it failed."""
    study = Study.objects.get(pk=pk)
    moment = clock.study_now(study.replay_now)
    runs = SupplyRun.objects.filter(study=study, as_of__date=moment.date())
    if not runs.exclude(status=SupplyRun.Status.FAILED).exists():
        with clock.at(moment):
            services.request_supply(study, by=SYSTEM)


@unblinded_task
def unblinded_work_supply_runs() -> None:
    """Look at what centres need, for each run that was asked for."""
    from dispensing.unblinded.services import work_supply_runs

    work_supply_runs()


@unblinded_task
def unblinded_watch_calls() -> None:
    """Say in the unblinded log which gates are paused by calls that were not completed."""
    from dispensing.unblinded.calls import watch_calls

    for alarm in watch_calls():
        say = log.error if alarm.paused else log.warning
        say("gate calls not completed", kind=alarm.kind, name=alarm.name, calls=alarm.abandoned)
