"""Tasks of room 1."""

from celery import shared_task

from enrolment.access_review import remind
from iwrs.models import Study
from iwrs.tasks import for_each_study


@shared_task(name="enrolment.tasks.remind_of_access_reviews")
def remind_of_access_reviews() -> None:
    """Look in each study whether the review of who has access is due."""
    for_each_study(remind_of_access_review)


@shared_task(name="enrolment.tasks.remind_of_access_review")
def remind_of_access_review(pk: int) -> None:
    """Queue the letter of one study, if its review is due."""
    remind(Study.objects.get(pk=pk))
