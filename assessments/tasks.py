"""Tasks of room 4."""

from celery import shared_task

from assessments.sweep import sweep
from iwrs.models import Study
from iwrs.tasks import for_each_study


@shared_task(name="assessments.tasks.sweep_studies")
def sweep_studies() -> None:
    """Sweep each study's visits."""
    for_each_study(sweep_study)


@shared_task(name="assessments.tasks.sweep_study")
def sweep_study(pk: int) -> None:
    """Mark visits due and overdue, and queue reminders."""
    sweep(Study.objects.get(pk=pk))
