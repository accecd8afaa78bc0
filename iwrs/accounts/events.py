"""What happens at the door, as rows: who, when, from where, on which site, with what outcome."""

from dataclasses import dataclass
from datetime import timedelta

from allauth.core.internal.httpkit import get_client_ip
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.dispatch import Signal
from django.http import HttpRequest

from iwrs.accounts.models import SignInEvent, StudyRole, User
from iwrs.acts import present_request

LOCKS_SHOWN = timedelta(days=14)

# Sent with each `event`, within its transaction. The room that knows where the person works
# writes the letters (`enrolment.letters`).
recorded = Signal()


@dataclass(frozen=True)
class Caller:
    """Where a request comes from: its address, and what the browser says it is."""

    address: str | None = None
    browser: str = ""

    @classmethod
    def of(cls, request: HttpRequest | None) -> "Caller":
        """The caller of a request; of none for work without a request."""
        if request is None:
            return cls()
        try:
            address = get_client_ip(request)
        except ImproperlyConfigured:  # fewer proxies than said: a header that cannot be trusted
            address = None
        told = request.META.get("HTTP_USER_AGENT", "")
        browser = "".join(each for each in told if each.isprintable())[:200]
        return cls(address, browser)


def recent_locks(study_code: str) -> "QuerySet[SignInEvent]":
    """Locks of the last two weeks, of accounts with a role in the whole study; the newest first."""
    people = StudyRole.objects.filter(study_code=study_code).values("user")
    locked = [SignInEvent.What.LOCKED, SignInEvent.What.SIGNING_LOCKED]
    found = SignInEvent.objects.filter(user__in=people, what__in=locked, at__gt=Now() - LOCKS_SHOWN)
    return found.select_related("user").order_by("-at", "-pk")


def record(
    what: SignInEvent.What, user: User | None, *, by: Caller, method: str = "", **more: str
) -> SignInEvent:
    """Write one event, and queue its letters. Never a password, a code or a token.

    `more`: `done_by`, `why`, and `client` for an EDC system.
    """
    with transaction.atomic():
        event = SignInEvent.objects.create(
            user=user,
            site=settings.SIDE,
            what=what,
            method=method,
            address=by.address,
            browser=by.browser,
            of_request=present_request(),
            **more,
        )
        recorded.send(sender=SignInEvent, event=event)
    return event
