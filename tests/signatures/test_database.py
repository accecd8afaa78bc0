"""What the database refuses: a signature that is moved, changed, dated back or false."""

import psycopg
import pytest
from psycopg import errors

from iwrs.signatures import Record
from tests.factories import a_user
from tests.roles import Logins, as_unblinded

COLUMNS = (
    "user_id, printed_name, role, meaning, study_code, time_zone, record_kind, record_pk,"
    " canonical, sha256, signed_at"
)
RECORD = Record("visit", 7, {"day": "2011-02-11"})


def insert(
    login: psycopg.Connection, user: int, table: str = "public.signatures_signedrecord", **changes
):
    row = {"kind": RECORD.kind, "pk": RECORD.pk, "text": RECORD.canonical, "sha": RECORD.sha256}
    row |= changes
    return login.execute(
        f"INSERT INTO {table} ({COLUMNS}) VALUES (%(user)s, 'A', 'investigator', 'I mean it', 's',"
        " 'UTC', %(kind)s, %(pk)s, %(text)s, %(sha)s, '1999-01-01') RETURNING id, signed_at",
        row | {"user": user},
    ).fetchone()


@pytest.fixture
def user(committed_db: None) -> int:
    return a_user("investigator").pk


@pytest.mark.requirement("REQ-038")
def test_the_database_sets_the_time(user: int, logins: Logins) -> None:
    _, at = insert(logins.blinded(), user)
    assert at.year > 2000


@pytest.mark.requirement("REQ-038")
@pytest.mark.parametrize(
    "changes",
    [
        {"pk": 8},
        {"kind": "extract"},
        {"sha": "0" * 64},
        {"text": RECORD.canonical.replace("02-11", "02-12")},
    ],
)
def test_a_signature_is_true_to_its_record(user: int, logins: Logins, changes: dict) -> None:
    with pytest.raises(errors.CheckViolation):
        insert(logins.blinded(), user, **changes)


@pytest.mark.requirement("REQ-038")
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE {} SET record_pk = 8",
        "UPDATE {} SET printed_name = 'B'",
        "UPDATE {} SET signed_at = '1999-01-01'",
        "DELETE FROM {}",
    ],
)
def test_a_signature_is_never_changed(user: int, logins: Logins, change: str) -> None:
    blinded = logins.blinded()
    insert(blinded, user)
    for login in (blinded, logins.unblinded(), logins.owner()):
        with pytest.raises(errors.InsufficientPrivilege):
            login.execute(change.format("public.signatures_signedrecord"))
    with pytest.raises(errors.InsufficientPrivilege):
        blinded.execute("TRUNCATE public.signatures_signedrecord")
    with pytest.raises(errors.InsufficientPrivilege):
        blinded.execute("ALTER TABLE public.signatures_signedrecord DISABLE TRIGGER sign_once")


@pytest.mark.requirement("REQ-038")
def test_those_of_unblinded_staff_are_kept_apart_and_as_safe(
    committed_db: None, logins: Logins
) -> None:
    with as_unblinded():
        user = a_user("unblinded_statistician").pk
    table = "unblinded.signatures_signedrecord"
    unblinded = logins.unblinded()
    insert(unblinded, user, table)
    for change in (f"UPDATE {table} SET record_pk = 8", f"DELETE FROM {table}"):
        for login in (unblinded, logins.owner(), logins.blinded()):
            with pytest.raises(errors.InsufficientPrivilege):
                login.execute(change)
    with pytest.raises(errors.InsufficientPrivilege):
        logins.blinded().execute(f"SELECT FROM {table}")
    with pytest.raises(errors.InsufficientPrivilege):
        insert(unblinded, user)
    with pytest.raises(errors.InsufficientPrivilege):
        unblinded.execute("SELECT FROM public.signatures_signingstate")
