"""Tasks of room 1."""

import structlog
from celery import shared_task

from enrolment.access_review import remind
from iwrs.models import Study
from iwrs.tasks import for_each_study, unblinded_task, without_values

log = structlog.get_logger(__name__)


@shared_task(name="enrolment.tasks.remind_of_access_reviews")
def remind_of_access_reviews() -> None:
    """Look in each study whether the review of who has access is due."""
    for_each_study(remind_of_access_review)


@shared_task(name="enrolment.tasks.remind_of_access_review")
def remind_of_access_review(pk: int) -> None:
    """Queue the letter of one study, if its review is due."""
    remind(Study.objects.get(pk=pk))


@unblinded_task
def unblinded_remind_of_access_reviews() -> None:
    """The same for the accounts of unblinded staff, whatever the blinded side says of the study."""
    for study in Study.objects.order_by("pk"):
        try:
            remind(study)
        except Exception as error:  # whatever it is: the next study has people too
            log.error("access review not reminded", study=study.pk, **without_values(error))
