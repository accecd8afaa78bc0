"""Whoever signs, approves or administers has a second factor, or is led to set one up."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import Resolver404, resolve

from enrolment.access import held_roles
from iwrs.accounts.factors import has_second_factor
from iwrs.accounts.models import User
from iwrs.permissions import MAY, READING, Act
from iwrs.views import for_machines

Answer = Callable[[HttpRequest], HttpResponse]

# Reading, and entering what a source document says. All other acts need a second factor, those
# that are added later too.
WITHOUT = READING | {Act.SCREEN, Act.REQUEST_DEVIATION, Act.DISPENSE, Act.RECORD_COURSE}
# What a person without one may still open: setting it up, one's password, and the door.
OPEN = {
    "health",
    "sign-in",
    "sign-out",
    "set-password",
    "forgotten-password",
    "choose-password",
    "change-password",
    "stay",
    "sessions",
}
_SEEN = "second factor seen"


class SecondFactor:
    """Lead a person whose role needs a second factor, and who has none, to setting it up."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.SECOND_FACTOR != "required" or for_machines(request) or not _missing(request):
            return self.get_response(request)
        request.second_factor_missing = True  # type: ignore[attr-defined]
        if _is_open(request.path_info):
            return self.get_response(request)
        return redirect("mfa_index")


def needed_by(user: User) -> bool:
    """True when a role that the person holds today signs, approves or administers."""
    return any(MAY.get(each.role, frozenset()) - WITHOUT for each in held_roles(user))


def _missing(request: HttpRequest) -> bool:
    user = request.user
    if not isinstance(user, User) or request.session.get(_SEEN):
        return False
    if not needed_by(user):
        return False
    if has_second_factor(user):
        request.session[_SEEN] = True  # its reset ends all sessions, so this stays true
        return False
    return True


def _is_open(path: str) -> bool:
    try:
        name = resolve(path).url_name or ""
    except Resolver404:
        return False
    return name in OPEN or name.startswith(("mfa_", "account_"))
