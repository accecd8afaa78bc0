"""Tasks of room 5."""

from celery import shared_task

from dsmb import services
from iwrs.models import Study
from iwrs.tasks import for_each_study, unblinded_task


@shared_task(name="dsmb.tasks.watch_studies")
def watch_studies() -> None:
    """Look at the event count of each study."""
    for_each_study(watch_study)


@shared_task(name="dsmb.tasks.watch_study")
def watch_study(pk: int) -> None:
    """Notice when a planned number of events is reached."""
    services.watch_events(Study.objects.get(pk=pk))


@unblinded_task
def unblinded_renew_packs() -> None:
    """Make the sealed code-break packs and randomization packs that are due."""
    from dsmb.unblinded.packs import work_packs
    from dsmb.unblinded.paper import work_papers

    work_packs()
    work_papers()


@unblinded_task
def unblinded_work_extracts() -> None:
    """Build the extracts that wait."""
    from dsmb.unblinded.services import work_extracts

    work_extracts()
