"""Second factors: codes checked once, under the lock of the account, and factors taken away.

The secrets and the passkeys are django-allauth's `Authenticator` rows. A code counts like a
password: five wrong ones in a row lock the account.
"""

from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import (
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from allauth.mfa.utils import decrypt
from django.db import transaction

from iwrs.accounts.events import Caller, record
from iwrs.accounts.models import SignInEvent, User
from iwrs.accounts.services import count_failure, is_locked
from iwrs.accounts.sessions import end_sessions
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.locks import lock
from iwrs.problems import Invalid

Kind = Authenticator.Type
_LAST = "last_counter"  # in an app's data: the time step of the last code that was accepted


def has_second_factor(user: User) -> bool:
    """True when the person has an app or a passkey. Recovery codes alone are none."""
    return bool(Authenticator.objects.filter(user=user).exclude(type=Kind.RECOVERY_CODES).exists())


def checked_code(user: User, code: str, *, by: Caller) -> Authenticator | None:
    """The app or the recovery codes that this code belongs to; None when it is wrong or used.

    The account's row is locked meanwhile: guesses cannot run side by side, and one code cannot be
    used twice at the same moment. Refusals are rows, and count.
    """
    with transaction.atomic():
        row = lock(User.objects, user.pk)
        if is_locked(row) or not row.is_active:
            record(SignInEvent.What.REFUSED, row, by=by, method="code")
            return None
        for each in Authenticator.objects.filter(user=row).exclude(type=Kind.WEBAUTHN):
            if _matches(each, code):
                return each
        count_failure(row, by=by, method="code")
        return None


def step_of(secret: str, code: str, *, after: int = -1) -> int | None:
    """The time step (30 s) whose code this is, if it is later than `after` (RFC 6238, 5.2)."""
    for counter in yield_hotp_counters_from_time():
        expected = format_hotp_value(hotp_value(secret, counter))
        if counter > after and compare_user_code(actual=code, expected=expected):
            return int(counter)
    return None


def remember_step(app: Authenticator, step: int) -> None:
    """No code of this time step, or of an earlier one, is accepted again."""
    app.data[_LAST] = step
    app.save(update_fields=["data"])


def reset_factors(user: User, *, by: Actor, why: str) -> int:
    """Take away all second factors of a person who lost them, and end the person's sessions.

    Returns how many were taken away. The person sets up new ones at the next sign-in. Raises
    `Invalid` on `why`.
    """
    require_reason(why)
    with act("reset second factors", by=by, why=why):
        return take_away(lock(User.objects, user.pk), by=by, why=why)


def take_away(row: User, *, by: Actor, why: str) -> int:
    """What `reset_factors` does, within an open act that has locked the account's row."""
    taken, _ = Authenticator.objects.filter(user=row).delete()
    end_sessions(row)
    record(
        SignInEvent.What.FACTOR_REMOVED,
        row,
        by=Caller(),
        method="all",
        done_by=by.label,
        why=why.strip(),
    )
    return int(taken)


def require_reason(why: str) -> None:
    """Raise `Invalid` when nothing says how the person was known."""
    if not why.strip():
        raise Invalid(
            {"why": "Write how you know that this person lost the second factor."},
            title="The second factors were not reset.",
            action="Nothing was saved.",
        )


def _matches(factor: Authenticator, code: str) -> bool:
    if factor.type != Kind.TOTP:
        return bool(factor.wrap().validate_code(code))
    step = step_of(decrypt(factor.data["secret"]), code, after=factor.data.get(_LAST, -1))
    if step is None:
        return False
    remember_step(factor, step)
    return True
