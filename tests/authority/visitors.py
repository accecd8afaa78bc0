"""Who tries the doors: one person of each role, and people who should find none open."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from django.contrib.sessions.models import Session
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from enrolment.models import Centre, CentreRole
from iwrs.accounts.models import UNBLINDED_ROLES, Role, StudyRole, User
from iwrs.models import Study
from tests.factories import a_user
from trial.doors import Answer, Door, Of, held_in_study

SIGN_IN = "asked to sign in"
NO_METHOD = "method not allowed (405)"
FAILED = "failed (500)"


# Of these together nearly every door is open to one, where their roles count.
TRIED = {
    "blinded": [Role.INVESTIGATOR, Role.ADMINISTRATOR],
    "unblinded": [Role.UNBLINDED_STATISTICIAN, Role.SUPPLY_MANAGER, Role.UNBLINDED_AUDITOR],
}


@dataclass
class Visitor:
    """Somebody at the doors, and what the tables promise them."""

    label: str
    browser: Client
    promised: Callable[[Door], str]
    user: User | None = None
    owns: set[str] = field(default_factory=set)

    def send(self, through: Client, method: str, address: str) -> str:
        """What this visitor gets, with the same cookies every time: signing out is undone.

        One client serves all visitors, since each one would build the whole chain of middleware.
        """
        through.cookies = deepcopy(self.browser.cookies)
        return outcome(through.get(address) if method == "GET" else through.post(address, {}))


def outcome(response: HttpResponse) -> str:
    """What the answer means, in the words of the tables."""
    status = response.status_code
    if status == 302 and response.headers["Location"].split("?")[0] == reverse("sign-in"):
        return SIGN_IN
    if status == 500:
        return FAILED
    return {403: str(Answer.REFUSED), 404: str(Answer.NOWHERE), 405: NO_METHOD}.get(
        status, str(Answer.IN)
    )


def signed_in(user: User) -> Client:
    browser = Client()
    browser.force_login(user)
    return browser


def with_role(role: Role, study: Study, centre: Centre, side: str) -> Visitor:
    """A person who holds this role and no other."""
    in_study = held_in_study(role, side)
    place = {"study": study} if in_study else {"centre": centre}
    user = a_user(role, password=None, **place)  # no password: nobody types one here

    def promised(door: Door) -> str:
        return str(door.answer(role, in_study=in_study))

    return Visitor(role.label, signed_in(user), promised, user)


def outsiders(study: Study, centre: Centre, side: str) -> Iterator[Visitor]:
    """People with a role that does not count here, or not now."""
    roles = TRIED[side]
    today = datetime.now(UTC).date()
    for label, days in {
        "ended": {"since": today - timedelta(9), "until": today - timedelta(2)},
        "to come": {"since": today + timedelta(2), "until": None},
    }.items():
        for role in roles:
            made = with_role(role, study, centre, side)
            StudyRole.objects.filter(user=made.user).update(**days)
            if side == "blinded":
                CentreRole.objects.filter(user=made.user).update(**days)
            yield Visitor(f"{role.label}, role {label}", made.browser, _nothing, made.user)


def elsewhere(study: Study, centre: Centre, side: str, why: str) -> Iterator[Visitor]:
    """People of another study, or of another centre."""
    for role in [*TRIED[side], Role.SAFETY_PHYSICIAN, Role.MONITOR]:
        if why == "other centre" and held_in_study(role, side):
            continue
        made = with_role(role, study, centre, side)
        yield Visitor(f"{role.label}, {why}", made.browser, _nothing, made.user)


def shut_out(study: Study, centre: Centre, side: str) -> Iterator[Visitor]:
    """Nobody, and of each role of the side somebody who had a session."""
    yield Visitor("Nobody", Client(), _sign_in)
    for role in (each for each in Role if (each in UNBLINDED_ROLES) == (side == "unblinded")):
        closed = with_role(role, study, centre, side)
        User.objects.filter(pk=closed.user.pk).update(is_active=False)  # type: ignore[union-attr]
        yield Visitor(f"{role.label}, account closed", closed.browser, _sign_in)
        idle = with_role(role, study, centre, side)
        key = next(iter(idle.browser.cookies.values())).value
        over = datetime.now(UTC) - timedelta(seconds=1)
        Session.objects.filter(pk=key).update(expire_date=over)
        yield Visitor(f"{role.label}, session that ran out", idle.browser, _sign_in)


def _nothing(door: Door) -> str:
    return str(Answer.IN if door.of in {Of.ANYBODY, Of.PERSON} else Answer.NOWHERE)


def _sign_in(door: Door) -> str:
    return str(Answer.IN) if door.of is Of.ANYBODY else SIGN_IN
