"""The letters of room 5, to the trial's administrators: overall counts only, never by arm."""

from django.conf import settings
from django.template.loader import render_to_string

from dsmb.models import InterimNotice
from iwrs.accounts.models import Role
from iwrs.models import Message
from iwrs.outbox import Letter, addresses, writes


@writes("interim-notice")
def interim_notice(message: Message) -> Letter:
    """A planned number of events was reached."""
    notice = InterimNotice.objects.select_related("study").get(pk=message.refs["notice"])
    study = notice.study
    body = render_to_string(
        "dsmb/mail/interim_notice.txt",
        {"notice": notice, "study": study, "portal": settings.PORTAL_URL},
    )
    heading = f"[{study.code}] {notice.planned_events} events are reached (look {notice.look})"
    return Letter(to=addresses(study, Role.ADMINISTRATOR), subject=heading, body=body)
