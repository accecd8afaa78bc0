"""The letters of room 1, about accounts. They name people, never subjects.

What happens to an account is a row (`SignInEvent`); a receiver queues its letters in the same
transaction. Each side writes to its own people.
"""

from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now
from django.template.loader import render_to_string

from enrolment.access_review import DUE, EVERY, is_due, last_review
from enrolment.people import roles_in_words
from iwrs import outbox
from iwrs.accounts.links import LETTER, waits
from iwrs.accounts.models import SignInEvent, User
from iwrs.accounts.services import LOCKED_FOR, MOST_FAILURES, password_link
from iwrs.accounts.sessions import name_of
from iwrs.models import EdcClient, Message, Study
from iwrs.outbox import Letter, NotNeeded, told_of_locks, who_may, writes
from iwrs.permissions import Act

What = SignInEvent.What
LOCKED = "account-locked"
CHANGED = "account-changed"
INVITATION = "invitation"
NEW_LINK = "password-link"
CLIENT_REFUSED = "edc-client-refused"
WRONG_SECRETS, WITHIN = 5, timedelta(hours=1)  # so many in a row in this time: people are told
_REVIEW = {"blinded": Act.REVIEW_ACCESS, "unblinded": Act.REVIEW_UNBLINDED_ACCESS}

# What a person is told of the own account: by what happened, and by what (`method`).
TOLD = {
    (What.PASSWORD_CHANGED, ""): "The password of your account was changed.",
    (What.PASSWORD_CHANGED, "link"): "The password of your account was set by a one-time link.",
    (What.FACTOR_ADDED, "app"): "An authenticator app was added to your account.",
    (What.FACTOR_ADDED, "passkey"): "A passkey was added to your account.",
    (What.FACTOR_ADDED, "recovery codes"): "New recovery codes were made for your account.",
    (What.FACTOR_REMOVED, "app"): "The authenticator app was removed from your account.",
    (What.FACTOR_REMOVED, "passkey"): "A passkey was removed from your account.",
    (What.FACTOR_REMOVED, "all"): "All second factors of your account were taken away. "
    "You set up new ones at your next sign-in.",
    (What.LINKED, "directory"): "Your account can now be used through your organization's "
    "directory.",
    (What.ACCOUNT_ENDED, ""): "Your account was ended. You cannot sign in any more.",
}
_TOPICS = {What.INVITED: INVITATION, What.LINK_ASKED: NEW_LINK} | {
    what: CHANGED for what, _ in TOLD
}


def queue_letters(*, event: SignInEvent, **_: Any) -> None:
    """Queue the letters of what happened to an account, in the transaction that recorded it."""
    if event.client and event.what == What.REFUSED:
        _queue_client_refused(event)
    if event.user is None:
        return
    if event.what == What.LOCKED:
        for study in _studies_of(event.user):
            _queue(study, LOCKED, event, key=f"{LOCKED}-{event.pk}-{study.code}")
    topic = _TOPICS.get(What(event.what))
    if topic is None or (topic != CHANGED and event.method != LETTER):
        return
    # A letter goes out in the name of one study: a real one before one that is simulated or for
    # training.
    own = sorted(
        _studies_of(event.user), key=lambda study: (study.simulated, study.training, study.code)
    )
    for study in own[:1]:
        _queue(study, topic, event, key=f"{topic}-{event.pk}")


def _queue_client_refused(event: SignInEvent) -> None:
    """One letter for each client and hour, however long somebody guesses on."""
    newest = SignInEvent.objects.filter(
        client=event.client, at__gt=Now() - WITHIN, what__in=[What.REFUSED, What.SIGNED_IN]
    ).order_by("-at", "-pk")
    if (
        list(newest.values_list("what", flat=True)[:WRONG_SECRETS])
        == [What.REFUSED] * WRONG_SECRETS
    ):
        client = EdcClient.objects.select_related("study").get(client_id=event.client)
        key = f"{CLIENT_REFUSED}-{client.pk}-{event.at:%Y%m%d%H}"
        _queue(client.study, CLIENT_REFUSED, event, key=key)


def _queue(study: Study, topic: str, event: SignInEvent, *, key: str) -> None:
    outbox.queue(study, topic, key=key, refs={"event": event.pk})


@writes(LOCKED)
def locked(message: Message) -> Letter:
    """An account was locked after wrong passwords or codes (21 CFR 11.300(d))."""
    event = _event(message)
    study = message.study
    about = {"failures": MOST_FAILURES, "minutes": int(LOCKED_FOR.total_seconds() // 60)}
    return Letter(
        to=told_of_locks(study),
        subject=f"[{study.code}] An account was locked: {event.user}",
        body=_body("account_locked", message, event, **about),
    )


@writes(CLIENT_REFUSED)
def client_refused(message: Message) -> Letter:
    """Somebody gave wrong secrets for an EDC system of the study (21 CFR 11.300(d))."""
    event, study = _event(message), message.study
    client = EdcClient.objects.get(client_id=event.client)
    about = {"event": event, "client": client, "title": _title(study), "times": WRONG_SECRETS}
    return Letter(
        to=told_of_locks(study),
        subject=f"[{study.code}] Wrong secrets for the EDC system {client.name}",
        body=render_to_string("enrolment/mail/edc_client_refused.txt", about),
    )


@writes(CHANGED)
def changed(message: Message) -> Letter:
    """To the person: a password, a second factor or the account itself was changed."""
    event = _event(message)
    person = _person(event)
    told = TOLD.get((What(event.what), event.method)) or f"{event.get_what_display()}."
    browser = name_of(event.browser) if event.browser else ""
    return Letter(
        to=(person.email,),
        subject=f"[{message.study.code}] {told.split('. ')[0].rstrip('.')}",
        body=_body("account_changed", message, event, told=told, browser=browser),
    )


@writes(INVITATION)
def invitation(message: Message) -> Letter:
    """To a person who got a role and never used the account. Not needed once it is, or no role."""
    event = _event(message)
    person = _person(event)
    roles = roles_in_words(person)
    if not roles or not waits(person):
        raise NotNeeded
    return Letter(
        to=(person.email,),
        subject=f"[{message.study.code}] Set the password of your account",
        body=_body("invitation", message, event, roles=roles, **_link(person)),
    )


@writes(NEW_LINK)
def new_link(message: Message) -> Letter:
    """To a person who asked for a new link at the door."""
    event = _event(message)
    person = _person(event)
    if not person.is_active:
        raise NotNeeded
    return Letter(
        to=(person.email,),
        subject=f"[{message.study.code}] Link to set a new password",
        body=_body("password_link", message, event, **_link(person)),
    )


@writes(DUE)
def access_review_is_due(message: Message) -> Letter:
    """Nobody has reviewed who has access for 90 days. Not needed once somebody did.

    Nor once a newer one waits: who gets the duty after years gets one letter, not one a period.
    """
    study = message.study
    last = last_review(study)
    later = type(message)._default_manager.filter(study=study, topic=DUE, pk__gt=message.pk)
    if not is_due(last) or later.exists():
        raise NotNeeded
    about = {"study": study, "title": _title(study), "last": last, "days": EVERY.days}
    about["portal"] = settings.PORTAL_URL
    about["ends_roles"] = settings.SIDE == "blinded"  # no page of the other site does
    return Letter(
        to=who_may(study, _REVIEW[settings.SIDE]),
        subject=f"[{study.code}] Review who has access",
        body=render_to_string("enrolment/mail/access_review_due.txt", about),
    )


def _link(person: User) -> dict[str, Any]:
    """The link, made now: it rests in the letter alone."""
    return {
        "link": settings.PORTAL_URL.rstrip("/") + password_link(person),
        "days": settings.PASSWORD_RESET_TIMEOUT // (24 * 60 * 60),
    }


def _body(name: str, message: Message, event: SignInEvent, **about: Any) -> str:
    person = _person(event)
    context = {
        "event": event,
        "person": person,
        "title": _title(message.study),
        "zone": _zone(person),
        "call": [
            each for each in who_may(message.study, Act.MANAGE_PEOPLE) if each != person.email
        ],
        "portal": settings.PORTAL_URL.rstrip("/"),
    }
    return render_to_string(f"enrolment/mail/{name}.txt", context | about)


def _title(study: Study) -> str:
    """What a letter calls the study. Whoever holds the blinded login can write any title, also an
    address to lure unblinded staff to: their letters give the code, which their roles name too.
    """
    return study.title if settings.SIDE == "blinded" else study.code


def _event(message: Message) -> SignInEvent:
    return SignInEvent.objects.select_related("user").get(pk=message.refs["event"])


def _person(event: SignInEvent) -> User:
    if event.user is None:
        raise NotNeeded
    return event.user


def _zone(person: User) -> str:
    """The time zone of the person's centre; UTC for people of the whole study."""
    if settings.SIDE == "unblinded":  # the roles at centres are of others, with the same keys
        return "UTC"
    held = person.centre_roles.select_related("centre").order_by("-since", "-pk").first()
    return held.centre.time_zone if held is not None else "UTC"


def _studies_of(user: User) -> list[Study]:
    """Studies in which the person ever held a role."""
    held = Q(code__in=user.study_roles.values_list("study_code", flat=True))
    if settings.SIDE == "blinded":  # no unblinded account has a role at a centre
        held |= Q(centres__roles__user=user)
    return list(Study.objects.filter(held).distinct().order_by("code"))
