"""One's sessions: where one is signed in, and ending them. A session is a row of Django's.

Where it was opened, and when, stands in the session itself, signed with the side's key.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.models import Session
from django.utils.crypto import salted_hmac

from iwrs.accounts.events import Caller, record
from iwrs.accounts.models import SignInEvent, User

LONGEST = timedelta(hours=12)  # however much a session is used
_SINCE, _FROM, _MINUTE = "since", "from", "minute"


@dataclass(frozen=True)
class Seat:
    """A session as its owner sees it. `id` names it without being the key that opens it."""

    id: str
    key: str
    since: datetime | None
    used: str
    address: str
    browser: str
    here: bool


def begin(session: SessionBase, by: Caller) -> None:
    """Note in a new session when and from where it was opened."""
    session[_SINCE] = datetime.now(UTC).timestamp()
    session[_FROM] = [by.address or "", by.browser]


def is_too_old(session: SessionBase) -> bool:
    """True when a session is older than any may be. One without a beginning begins now."""
    since = session.setdefault(_SINCE, datetime.now(UTC).timestamp())
    return datetime.now(UTC).timestamp() - float(since) > LONGEST.total_seconds()


def seats(user: User, *, here: str = "") -> list[Seat]:
    """The sessions of a person that are open now, this one first, then the newest."""
    found = [_seat(key, told, here) for key, told in _open_sessions(user)]
    never = datetime.min.replace(tzinfo=UTC)
    newest = sorted(found, key=lambda seat: seat.since or never, reverse=True)
    return sorted(newest, key=lambda seat: not seat.here)


def end(user: User, ids: set[str], *, by: Caller) -> int:
    """End those of one's own sessions. Returns how many were ended."""
    keys = [seat.key for seat in seats(user) if seat.id in ids]
    Session.objects.filter(pk__in=keys).delete()
    for _ in keys:
        record(SignInEvent.What.SESSION_ENDED, user, by=by)
    return len(keys)


def end_sessions(user: User) -> int:
    """End every session of a person. Returns how many there were."""
    keys = [key for key, _ in _open_sessions(user)]
    Session.objects.filter(pk__in=keys).delete()
    return len(keys)


def _open_sessions(user: User) -> Iterator[tuple[str, dict[str, object]]]:
    for each in Session.objects.filter(expire_date__gte=datetime.now(UTC)).iterator():
        told = each.get_decoded()
        if told.get("_auth_user_id") == str(user.pk):
            yield each.pk, told


def _seat(key: str, told: dict[str, object], here: str) -> Seat:
    since, place = told.get(_SINCE), told.get(_FROM)
    address, browser = place if isinstance(place, list) else ("", "")
    return Seat(
        id=salted_hmac("iwrs session", key, algorithm="sha256").hexdigest()[:32],
        key=key,
        since=datetime.fromtimestamp(float(str(since)), UTC) if since else None,
        used=str(told.get(_MINUTE, "")),
        address=str(address),
        browser=name_of(str(browser)),
        here=key == here,
    )


def name_of(browser: str) -> str:
    """What a browser calls itself, in two words: Firefox on Windows."""
    programs = {"Edg": "Edge", "OPR": "Opera", "Firefox": "", "Chrome": "", "Safari": ""}
    systems = {"Windows": "", "Android": "", "iPhone": "", "iPad": "", "Mac OS": "Mac", "Linux": ""}
    program = next((name or part for part, name in programs.items() if part in browser), "")
    system = next((name or part for part, name in systems.items() if part in browser), "")
    return " on ".join(each for each in (program or "A browser", system) if each)
