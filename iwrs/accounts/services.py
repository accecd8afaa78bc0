"""Signing in: counting wrong passwords and locking, as rows that survive a restart."""

from datetime import UTC, datetime, timedelta

from django.contrib.auth.hashers import make_password
from django.db import transaction

from iwrs.accounts.models import User
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Signature, sign

MOST_FAILURES = 5
LOCKED_FOR = timedelta(minutes=15)


def signed_in(email: str, password: str) -> User | None:
    """Return the account when the password is right and the account is active and not locked.

    Every refusal takes the time of one password hash, so that time does not tell which it was.
    The row is locked while the password is checked: guesses cannot run side by side.
    """
    with transaction.atomic():
        user = User.objects.select_for_update().filter(email__iexact=email.strip()).first()
        if user is None or not user.is_active or is_locked(user):
            make_password(password)
            return None
        return user if _checked(user, password) else None


def sign_counted(user: User, password: str, *, meaning: str) -> Signature:
    """Take a signature; a wrong password counts like a wrong one at sign-in.

    Raises `Invalid` on the field `password`, or `Problem` (`account_locked`, 403) when the
    account is locked now: a session left open must not serve to guess its owner's password.
    """
    wrong: Invalid | None = None
    with transaction.atomic():
        row = User.objects.select_for_update().get(pk=user.pk)
        if not is_locked(row):
            try:
                signature = sign(row, password, meaning=meaning)
            except Invalid as problem:
                wrong = problem
                _count(row)
            else:
                _forget(row)
                return signature
    if wrong is not None and not is_locked(row):
        raise wrong
    raise Problem(
        code="account_locked",
        title="Your account is locked for 15 minutes after 5 wrong passwords.",
        action="Nothing was saved. Sign in again later.",
        status=403,
    )


def is_locked(user: User) -> bool:
    """True while the lock lasts. Real time counts, also while a trial is replayed."""
    return user.locked_until is not None and user.locked_until > datetime.now(UTC)


def _checked(user: User, password: str) -> bool:
    if user.check_password(password):
        _forget(user)
        return True
    _count(user)
    return False


def _count(user: User) -> None:
    user.failed_attempts += 1
    if user.failed_attempts >= MOST_FAILURES:
        user.failed_attempts = 0
        user.locked_until = datetime.now(UTC) + LOCKED_FOR
    user.save(update_fields=["failed_attempts", "locked_until"])


def _forget(user: User) -> None:
    if user.failed_attempts or user.locked_until:
        user.failed_attempts, user.locked_until = 0, None
        user.save(update_fields=["failed_attempts", "locked_until"])
