"""Taking a signature, and keeping it with what was signed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from iwrs import clock, outbox
from iwrs.accounts.events import Caller, record
from iwrs.accounts.models import Role, SignInEvent, User
from iwrs.accounts.services import count_failure, forget_failures, is_locked
from iwrs.acts import present_request
from iwrs.locks import lock
from iwrs.models import Study
from iwrs.problems import Invalid, Problem
from iwrs.signatures.letters import LOCKED
from iwrs.signatures.models import SignedRecord, SigningState
from iwrs.signatures.record import Record, Signature

MOST_FAILURES = 3
LOCKED_FOR = timedelta(minutes=30)
_NOBODY = Caller()
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Shown:
    """A signature as people read it beside its record; `differs` when the record changed since."""

    signature: SignedRecord
    differs: bool

    @property
    def role(self) -> str:
        known = {each.value: each.label for each in Role}
        return str(known.get(self.signature.role, self.signature.role))


def sign(
    user: User,
    *,
    email: str,
    password: str,
    meaning: str,
    study: Study,
    role: str = "",
    shown: str = "",
    caller: Caller = _NOBODY,
) -> Signature:
    """Check both components at the moment of signing, and return the signature.

    `email` and `password` are those typed now, not those of the session (21 CFR 11.200(a)(1)).
    Raises `Invalid` when they are not the person's own, and `Problem` (`signing_locked`, 403)
    after three wrong tries in a row: a session left open must not serve to guess a password.
    The account's row is locked meanwhile, so that guesses cannot run side by side.
    """
    with transaction.atomic():
        row = lock(User.objects, user.pk)
        right, locked = _tried(row, email, password, study, caller)
    if locked:
        told = "managers" if settings.SIDE == "blinded" else "unblinded staff"
        raise Problem(
            code="signing_locked",
            title="You cannot sign for 30 minutes after 3 wrong tries.",
            action=f"Nothing was saved. The study's {told} are told. Try again later.",
            status=403,
        )
    if not right:
        raise Invalid(
            {"password": "This is not your e-mail address and your password."},
            title="The signature was not accepted.",
            action="Type the e-mail address and the password of your own account."
            " Nothing was saved.",
        )
    return Signature(
        signed_by=str(row),
        signed_at=clock.now(),
        meaning=meaning,
        account=row.pk,
        printed_name=row.name,
        role=role,
        shown=shown,
    )


def require_shown(signature: Signature, record: Record) -> None:
    """Raise `Problem` (409) unless the record is the one that the signer was shown.

    Called inside the act, with the record locked. A signature without an account (replay) was
    shown nothing.
    """
    if signature.account is not None and signature.shown != record.sha256:
        raise Problem(
            code="record_changed",
            title="The record changed after you opened this page.",
            action="Nothing was signed. Read it again as it is now, then sign.",
        )


def keep(
    signature: Signature, record: Record, *, study: Study, time_zone: str = "UTC"
) -> SignedRecord | None:
    """Keep the signature with the record as it is after the act, within the act's transaction."""
    if not connection.in_atomic_block:
        raise RuntimeError("keep() needs an open act: a signature belongs to what was signed")
    if signature.account is None:
        return None
    return SignedRecord.objects.create(
        user_id=signature.account,
        printed_name=signature.printed_name,
        role=signature.role,
        meaning=signature.meaning,
        study_code=study.code,
        record_kind=record.kind,
        record_pk=record.pk,
        canonical=record.canonical,
        sha256=record.sha256,
        shown_sha256=signature.shown,
        time_zone=time_zone,
        of_request=present_request(),
    )


def signatures_of(records: Iterable[Record]) -> list[Shown]:
    """The signatures of these records, oldest first; one query."""
    now = {(each.kind, each.pk): each.sha256 for each in records}
    asked = Q(pk__in=[])
    for kind, pk in now:
        asked |= Q(record_kind=kind, record_pk=pk)
    found = SignedRecord.objects.filter(asked).order_by("pk") if now else []
    return [Shown(each, each.sha256 != now[each.record_kind, each.record_pk]) for each in found]


def signatures_by_pk(records: Iterable[Record]) -> dict[int, list[Shown]]:
    """The signatures of records of one kind, by the record's key; one query."""
    found: dict[int, list[Shown]] = {}
    for each in signatures_of(records):
        found.setdefault(each.signature.record_pk, []).append(each)
    return found


def _tried(row: User, email: str, password: str, study: Study, caller: Caller) -> tuple[bool, bool]:
    """One try, counted, with the account's row locked: was it right, and is signing locked now?"""
    state, _ = SigningState.objects.get_or_create(user=row)
    if _locked(row):
        return False, True
    if _is_own(row, email, password):
        forget_failures(row)
        SigningState.objects.filter(pk=row.pk, failures__gt=0).update(failures=0)
        return True, False
    count_failure(row, by=caller, method="signature")  # as at sign-in
    return False, _count(row, state, study, caller)


def _locked(user: User) -> bool:
    running = SigningState.objects.filter(pk=user.pk, locked_until__gt=Now())
    return is_locked(user) or running.exists()


def _is_own(user: User, email: str, password: str) -> bool:
    # The password first, always: the time of the answer does not tell which of the two was wrong.
    right = user.check_password(password)
    return right and user.is_active and email.strip().lower() == user.email.lower()


def _count(row: User, state: SigningState, study: Study, caller: Caller) -> bool:
    """Count a wrong try. At the third, lock signing and tell those who look after the study.

    The lock is a row of the door as well: the home page of the unblinded site shows it too.
    """
    state.failures += 1
    locked = state.failures >= MOST_FAILURES
    if not locked:
        SigningState.objects.filter(pk=state.pk).update(failures=state.failures)
        return False
    SigningState.objects.filter(pk=state.pk).update(
        failures=0, locks=state.locks + 1, locked_until=Now() + LOCKED_FOR
    )
    record(SignInEvent.What.SIGNING_LOCKED, row, by=caller, method="signature")
    log.warning("signing locked", account=state.pk, study=study.code)
    key = f"signing-locked-{state.pk}-{state.locks + 1}"
    outbox.queue(study, LOCKED, key=key, refs={"account": state.pk})
    return True
