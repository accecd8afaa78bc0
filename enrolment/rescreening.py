"""The verb: screen a person again after a screen failure.

The person gets a new number, linked to the old one: each screening keeps its own consent, answers
and outcome.
"""

from enrolment.models import Subject
from enrolment.services import Screening, register
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.locks import lock
from iwrs.problems import Problem


def rescreen(before: Subject, screening: Screening, *, by: Actor) -> Subject:
    """Register the person of a screen failure anew, at the same centre.

    Raises `Problem` when the subject is no screen failure, was screened again already, or was
    screened as often as the study allows; else as `enrolment.services.screen`.
    """
    with act("screen again", by=by):
        # The centre first: its lock gives out numbers, and two acts at once cannot both go on.
        rows = Subject.objects.select_related("centre__study", "study")
        before = lock(rows, before.pk, first=["centre"])
        _require_failed_once(before)
        most = before.study.definition.study.max_rescreenings
        if before.rescreening >= most:
            raise Problem(
                code="rescreening_limit",
                title=f"The study does not allow another screening of subject {before.number}.",
                action=f"A person may be screened again {most} times." if most else "",
            )
        return register(before.centre, screening, before=before)


def may_be_screened_again(subject: Subject) -> bool:
    """True for a screen failure that the study allows to be screened again, and was not yet."""
    return (
        subject.status == Subject.Status.SCREEN_FAILED
        and not hasattr(subject, "rescreened_as")
        and subject.rescreening < subject.study.definition.study.max_rescreenings
    )


def _require_failed_once(before: Subject) -> None:
    if before.status != Subject.Status.SCREEN_FAILED:
        raise Problem(
            code="not_screen_failed",
            title=f"Subject {before.number} is no screen failure.",
            action=f"The subject's state is: {before.get_status_display()}.",
        )
    again = Subject.objects.filter(rescreen_of=before).first()
    if again:
        raise Problem(
            code="rescreened",
            title=f"Subject {before.number} was already screened again, as {again.number}.",
            action=f"Go on with subject {again.number}.",
        )
