"""Where django-allauth's sign-in is made ours: nobody signs up, and every sign-in is a row."""

import time
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records
from allauth.core import context
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from iwrs.accounts import sessions
from iwrs.accounts.events import Caller, record
from iwrs.accounts.models import SignInEvent, User
from iwrs.accounts.services import forget_failures, is_locked

FRESH = 300  # seconds for which what was shown at sign-in counts before a change of the account


class AccountAdapter(DefaultAccountAdapter):
    """allauth's questions about accounts, answered by the rules of `iwrs.accounts.services`."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Accounts are made by those who look after them."""
        return False

    def pre_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse | None:
        """Before any way of signing in: a passkey or a directory opens no locked account."""
        if user.is_active and not is_locked(user):
            return None
        record(SignInEvent.What.REFUSED, user, by=Caller.of(request))
        messages.error(request, "This account cannot be used now.")
        return HttpResponseRedirect(reverse("sign-in"))

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        """Who signed in minutes ago types nothing twice to set up a second factor."""
        request = context.request
        done = get_authentication_records(request, request.user)
        return not any(time.time() - each["at"] < FRESH for each in done)

    def login(self, request: HttpRequest, user: User) -> None:
        """The last step of every sign-in: a new session, and a row that says how."""
        records = get_authentication_records(request, user)
        super().login(request, user)
        sessions.begin(request.session, Caller.of(request))
        steps = dict.fromkeys(_step(each) for each in records)
        how = " and ".join(steps)
        forget_failures(user)
        record(SignInEvent.What.SIGNED_IN, user, by=Caller.of(request), method=how[:40])

    def add_message(self, *args: Any, message: str | None = None, **kwargs: Any) -> None:
        """Our pages say themselves what was done; texts of allauth are left out."""


def _step(done: dict[str, Any]) -> str:
    """What a person proved, in words: password, authenticator app, recovery code, passkey."""
    kinds = {"totp": "app", "recovery_codes": "recovery code", "webauthn": "passkey"}
    if done.get("method") == "mfa":
        return kinds.get(str(done.get("type")), "second factor")
    return {"socialaccount": "directory"}.get(str(done.get("method")), "password")
