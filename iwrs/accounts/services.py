"""Signing in, passwords and the end of an account. Locks are rows that survive a restart."""

from datetime import UTC, datetime, timedelta

import structlog
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.core.exceptions import ValidationError
from django.db import transaction
from django.urls import reverse
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode

from iwrs.accounts.events import Caller, record
from iwrs.accounts.models import SignInEvent, User
from iwrs.accounts.sessions import end_sessions
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.locks import lock
from iwrs.problems import Invalid, Problem

log = structlog.get_logger(__name__)
MOST_FAILURES = 5
LOCKED_FOR = timedelta(minutes=15)
_links = PasswordResetTokenGenerator()  # valid for PASSWORD_RESET_TIMEOUT: 3 days


def signed_in(email: str, password: str, *, by: Caller) -> User | None:
    """Return the account when the password is right and the account is active and not locked.

    Every refusal is a row, and takes the time of one password hash, so that time does not tell
    which it was. The row is locked while the password is checked: guesses cannot run side by side.
    """
    with transaction.atomic():
        known = User.objects.select_for_update(no_key=True)  # rows that name it are still written
        user = known.filter(email__iexact=email.strip()).first()
        if user is None or not user.is_active or is_locked(user):
            make_password(password)
            record(SignInEvent.What.REFUSED, user, by=by, method="password")
            return None
        if user.check_password(password):
            return user  # failures are forgotten when all steps of the sign-in are done
        count_failure(user, by=by, method="password")
        return None


def checked_password(user: User, password: str, *, by: Caller) -> bool:
    """The password once more, of a person who is signed in. A wrong one counts."""
    with transaction.atomic():
        row = lock(User.objects, user.pk)
        if is_locked(row) or not row.is_active:
            make_password(password)
            record(SignInEvent.What.REFUSED, row, by=by, method="password")
            return False
        if row.check_password(password):
            return True
        count_failure(row, by=by, method="password")
        return False


def account_is_locked() -> Problem:
    """What a person reads who is signed in while the account is locked."""
    return Problem(
        code="account_locked",
        title="Your account is locked for 15 minutes after 5 wrong passwords.",
        action="Nothing was saved. Sign in again later.",
        status=403,
    )


def is_locked(user: User) -> bool:
    """True while the lock lasts. Real time counts, also while a trial is replayed."""
    return user.locked_until is not None and user.locked_until > datetime.now(UTC)


def check_password_text(password: str, user: User) -> None:
    """Raise `Invalid` on the field `password` when the text is too easy to guess."""
    try:
        validate_password(password, user)
    except ValidationError as problem:
        raise Invalid(
            {"password": " ".join(problem.messages)},
            title="This password is not accepted.",
            action="Choose another one. Nothing was saved.",
        ) from None


def password_link(user: User) -> str:
    """The path of the page on which the person sets a password, once and within three days.

    Setting a password, or signing in, makes every earlier link useless.
    """
    who = urlsafe_base64_encode(force_bytes(user.pk))
    return reverse("set-password", args=[who, _links.make_token(user)])


def account_of_link(who: str, token: str) -> User | None:
    """The active account that a link was made for, or None when the link is used up or too old."""
    try:
        user = User.objects.filter(pk=int(urlsafe_base64_decode(who)), is_active=True).first()
    except (ValueError, OverflowError):
        return None
    return user if user is not None and _links.check_token(user, token) else None


def set_password(user: User, token: str, password: str, *, by: Caller) -> User:
    """Set the password by a link. Ends the person's sessions; the link works no more."""
    with act("set password", by=Actor.person(user)):
        user = lock(User.objects, user.pk)
        if not user.is_active or not _links.check_token(user, token):
            raise link_is_dead()
        check_password_text(password, user)
        user.set_password(password)
        user.failed_attempts, user.locked_until = 0, None
        user.save(update_fields=["password", "failed_attempts", "locked_until"])
        end_sessions(user)
        record(SignInEvent.What.PASSWORD_CHANGED, user, by=by, method="link")
        return user


def link_is_dead() -> Problem:
    """What a person reads who comes with a used or old link."""
    return Problem(
        code="link_used_up",
        title="This link was used before, or it is too old.",
        action="Ask for a new one.",
        status=410,
    )


def change_password(user: User, old: str, new: str, *, by: Caller) -> None:
    """Change one's own password. Ends every session of the person, this one too.

    A wrong old password counts like a wrong one at sign-in. Raises `Invalid` on `old` or
    `password`, or `Problem` (`account_locked`, 403).
    """
    wrong = False
    with act("change password", by=Actor.person(user)):
        row = lock(User.objects, user.pk)
        if is_locked(row):
            raise account_is_locked()
        wrong = not row.check_password(old)
        if wrong:
            count_failure(row, by=by, method="password")
        else:
            forget_failures(row)
            check_password_text(new, row)
            if new == old:
                raise Invalid(
                    {"password": "This is your present password."},
                    title="The password was not changed.",
                    action="Choose another one. Nothing was saved.",
                )
            row.set_password(new)
            row.save(update_fields=["password"])
            end_sessions(row)
            record(SignInEvent.What.PASSWORD_CHANGED, row, by=by)
    if wrong and is_locked(row):
        raise account_is_locked()
    if wrong:
        raise Invalid(
            {"old": "This is not your password."},
            title="The password was not changed.",
            action="Type the password that you signed in with. Nothing was saved.",
        )


def end_account(user: User, *, by: Actor, why: str) -> int:
    """End a person's access at once. Returns how many sessions were ended.

    The roles stay as they are and count no more. Raises `Invalid` on `why`.
    """
    if not why.strip():
        raise Invalid({"why": "Write why this account ends."})
    with act("end account", by=by, why=why):
        return close(lock(User.objects, user.pk), by=by, why=why)


def close(user: User, *, by: Actor, why: str) -> int:
    """What `end_account` does, within an open act that has locked the account's row."""
    user.is_active = False
    user.save(update_fields=["is_active"])
    ended = end_sessions(user)
    record(SignInEvent.What.ACCOUNT_ENDED, user, by=Caller(), done_by=by.label, why=why.strip())
    return ended


def count_failure(user: User, *, by: Caller, method: str) -> None:
    """Count a wrong password or code against an account whose row is locked.

    The fifth in a row locks the account, and those who look after accounts get a letter
    (`iwrs.accounts.events.recorded`).
    """
    record(SignInEvent.What.REFUSED, user, by=by, method=method)
    user.failed_attempts += 1
    if user.failed_attempts >= MOST_FAILURES:
        user.failed_attempts = 0
        user.locked_until = datetime.now(UTC) + LOCKED_FOR
        record(SignInEvent.What.LOCKED, user, by=by, method=method)
        log.warning("account locked", account=user.pk)
    user.save(update_fields=["failed_attempts", "locked_until"])


def forget_failures(user: User) -> None:
    """A right password or code: earlier failures count no more."""
    if user.failed_attempts or user.locked_until:
        user.failed_attempts, user.locked_until = 0, None
        user.save(update_fields=["failed_attempts", "locked_until"])
