"""The letters of room 1, to those who look after accounts. They name people, never subjects."""

from typing import Any

from django.conf import settings
from django.db.models import Q
from django.template.loader import render_to_string

from iwrs import outbox
from iwrs.accounts.models import Role, SignInEvent, User
from iwrs.accounts.services import LOCKED_FOR, MOST_FAILURES
from iwrs.models import OutboxMessage, Study
from iwrs.outbox import Letter, addresses, writes
from iwrs.permissions import Act, may

LOCKED = "account-locked"


def account_was_locked(*, user: User, event: SignInEvent, **_: Any) -> None:
    """Queue a letter for each study the person works in, in the transaction of the lock.

    The unblinded login writes no letters: an operator reads its rows and its log.
    """
    if settings.SIDE != "blinded":
        return
    studies = Study.objects.filter(
        Q(centres__roles__user=user)
        | Q(code__in=user.study_roles.values_list("study_code", flat=True))
    )
    for study in studies.distinct():
        key = f"{LOCKED}-{event.pk}-{study.code}"
        outbox.queue(study, LOCKED, key=key, refs={"event": event.pk})


@writes(LOCKED)
def locked(message: OutboxMessage) -> Letter:
    """An account was locked after wrong passwords or codes (21 CFR 11.300(d))."""
    event = SignInEvent.objects.select_related("user").get(pk=message.refs["event"])
    study = message.study
    body = render_to_string(
        "enrolment/mail/account_locked.txt",
        {
            "event": event,
            "study": study,
            "failures": MOST_FAILURES,
            "minutes": int(LOCKED_FOR.total_seconds() // 60),
            "portal": settings.PORTAL_URL,
        },
    )
    heading = f"[{study.code}] An account was locked: {event.user}"
    return Letter(to=_who_looks_after_accounts(study), subject=heading, body=body)


def _who_looks_after_accounts(study: Study) -> tuple[str, ...]:
    roles = [role for role in Role if may(role, Act.MANAGE_PEOPLE)]
    return tuple(sorted({each for role in roles for each in addresses(study, role)}))
