"""The letters of room 4, to a centre's coordinators. They name the subject by number only."""

from django.conf import settings
from django.template.loader import render_to_string

from assessments.models import Visit
from assessments.reminders import OVERDUE, REMINDER
from assessments.services import OPEN
from enrolment.models import Centre, CentreRole
from iwrs.accounts.models import Role
from iwrs.models import Message
from iwrs.outbox import Letter, NotNeeded, in_force, writes


@writes(REMINDER)
def reminder(message: Message) -> Letter:
    """A visit is due soon."""
    visit = _open_visit(message)
    return _letter(
        visit, f"visit {visit.number} is due on {visit.due_on:%-d %B %Y}", "visit_reminder"
    )


@writes(OVERDUE)
def overdue(message: Message) -> Letter:
    """A visit was not recorded in its window."""
    visit = _open_visit(message)
    return _letter(visit, f"visit {visit.number} is overdue", "visit_overdue")


def coordinators(centre: Centre) -> tuple[str, ...]:
    """E-mail addresses of the active people who coordinate at the centre today."""
    held = CentreRole.objects.filter(
        in_force(centre.time_zone), centre=centre, role=Role.SITE_COORDINATOR
    )
    return tuple(held.order_by("user__email").values_list("user__email", flat=True))


def _open_visit(message: Message) -> Visit:
    visit = Visit.objects.select_related("subject__centre__study").get(pk=message.refs["visit"])
    if visit.status not in OPEN:
        raise NotNeeded
    return visit


def _letter(visit: Visit, news: str, template: str) -> Letter:
    subject, centre = visit.subject, visit.subject.centre
    body = render_to_string(
        f"assessments/mail/{template}.txt",
        {
            "visit": visit,
            "subject": subject,
            "centre": centre,
            "study": centre.study,
            "portal": settings.PORTAL_URL,
        },
    )
    heading = f"[{centre.study.code}] Centre {centre.number}, subject {subject.number}: {news}"
    return Letter(to=coordinators(centre), subject=heading, body=body)
