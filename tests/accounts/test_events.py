"""What happens at the door leaves a row: who, when, from where, on which site, what outcome."""

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.contrib.sessions.models import Session
from django.core import mail
from django.db import connection
from django.test import Client
from django.urls import reverse
from psycopg import errors

from iwrs import outbox
from iwrs.accounts.models import Role, SignInEvent, User
from iwrs.problems import Invalid, Problem
from iwrs.signatures.services import sign
from tests.factories import a_centre, a_study, a_user
from tests.roles import Logins, as_unblinded

PASSWORD = "correct horse battery staple"
WRONG = "wrong " + PASSWORD
NEW = "lantern orbit cedar mosaic"
AGENT = {"User-Agent": "Firefox\t1\r\n"}
What = SignInEvent.What


@pytest.fixture
def study(db: None):
    return a_study(with_list=False)


@pytest.fixture
def person(study) -> User:
    return a_user(Role.INVESTIGATOR, centre=a_centre(study, cover=0))


def send(email: str, password: str, client: Client | None = None):
    client = client or Client()
    typed = {"email": email, "password": password}
    return client.post(reverse("sign-in"), typed, REMOTE_ADDR="192.0.2.7", headers=AGENT)


def events(user: User | None = None) -> list[tuple[str, str]]:
    rows = SignInEvent.objects.filter(user=user) if user else SignInEvent.objects.all()
    return list(rows.order_by("pk").values_list("what", "method"))


@pytest.mark.requirement("REQ-016")
def test_sign_ins_refusals_and_sign_outs_are_rows(person: User) -> None:
    browser = Client()
    send(person.email, WRONG)
    assert send(person.email, PASSWORD, browser).status_code == 302
    browser.post(reverse("sign-out"))
    assert events(person) == [
        (What.REFUSED, "password"),
        (What.SIGNED_IN, "password"),
        (What.SIGNED_OUT, ""),
    ]
    row = SignInEvent.objects.filter(what=What.SIGNED_IN).get()
    assert (row.site, row.address, row.browser) == ("blinded", "192.0.2.7", "Firefox1")
    assert abs(datetime.now(UTC) - row.at) < timedelta(minutes=2)


def test_an_unknown_address_is_a_row_without_what_was_typed(person: User) -> None:
    """People type their password into the wrong field; a row must not keep it."""
    send(f"{PASSWORD.replace(' ', '.')}@example.org", WRONG)
    row = SignInEvent.objects.get()
    assert (row.user, row.what) == (None, What.REFUSED)
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_jsonb(t)::text FROM accounts_signinevent t")
        [(text,)] = cursor.fetchall()
    assert "horse" not in text


@pytest.mark.requirement("REQ-017")
def test_a_locked_account_is_reported_to_those_who_look_after_accounts(study, person) -> None:
    manager, administrator = (
        a_user(role, study=study) for role in (Role.STUDY_MANAGER, Role.ADMINISTRATOR)
    )
    other = a_user(Role.STUDY_MANAGER, study=a_study(with_list=False))
    for _ in range(5):
        send(person.email, WRONG)
    assert events(person)[-1] == (What.LOCKED, "password")
    mail.outbox.clear()
    outbox.deliver_due()
    [letter] = mail.outbox
    assert set(letter.to) == {manager.email, administrator.email}
    assert other.email not in letter.to
    assert str(person) in letter.subject
    assert "192.0.2.7" in letter.body
    assert "opens again by itself after 15 minutes" in letter.body
    assert PASSWORD not in letter.body
    send(person.email, WRONG)  # while it is locked: a row, but no further letter
    outbox.deliver_due()
    assert len(mail.outbox) == 1


@pytest.mark.requirement("REQ-017")
def test_wrong_passwords_at_signing_lock_and_report_too(study, person) -> None:
    a_user(Role.STUDY_MANAGER, study=study)
    for _ in range(2):
        send(person.email, WRONG)
    for _ in range(3):
        with pytest.raises((Invalid, Problem)):
            sign(person, email=person.email, password=WRONG, meaning="I approve", study=study)
    assert events(person)[-2:] == [(What.LOCKED, "signature"), (What.SIGNING_LOCKED, "signature")]
    mail.outbox.clear()
    outbox.deliver_due()
    assert {letter.subject.split("] ")[-1] for letter in mail.outbox} == {
        f"An account was locked: {person}",
        "Signing locked after wrong tries",
    }


def test_rows_are_written_once_and_their_time_is_the_databases(
    committed_db: None, logins: Logins
) -> None:
    blinded = logins.blinded()
    insert = (
        "INSERT INTO accounts_signinevent (at, site, what, method, browser, done_by, why)"
        " VALUES ('1999-01-01', 'blinded', 'signed_in', '', '', '', '') RETURNING at"
    )
    [at] = blinded.execute(insert).fetchone()
    assert at.year > 2000
    for change in (
        "UPDATE accounts_signinevent SET what = 'refused'",
        "DELETE FROM accounts_signinevent",
        "TRUNCATE accounts_signinevent",
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            blinded.execute(change)


@pytest.mark.parametrize(
    "table",
    [
        "accounts_signinevent",
        "mfa_authenticator",
        "account_emailaddress",
        "socialaccount_socialaccount",
    ],
)
@pytest.mark.requirement("REQ-024")
def test_each_side_keeps_its_own_and_reads_not_the_others(logins: Logins, table: str) -> None:
    blinded, unblinded = logins.blinded(), logins.unblinded()
    blinded.execute(f"SELECT count(*) FROM public.{table}")
    unblinded.execute(f"SELECT count(*) FROM unblinded.{table}")

    def refused(login: psycopg.Connection, statement: str) -> None:
        with pytest.raises(errors.InsufficientPrivilege):
            login.execute(statement)

    for what in ("SELECT * FROM", "DELETE FROM"):
        refused(blinded, f"{what} unblinded.{table}")
        refused(unblinded, f"{what} public.{table}")


def test_unblinded_sign_ins_are_rows_of_the_unblinded_schema(study, settings) -> None:
    settings.SIDE = "unblinded"
    with as_unblinded():
        person = a_user(Role.SUPPLY_MANAGER, study=study)
        for _ in range(5):
            send(person.email, WRONG)
        assert events(person)[-1] == (What.LOCKED, "password")
        assert {row.site for row in SignInEvent.objects.all()} == {"unblinded"}
    assert not SignInEvent.objects.exists()


def change(browser: Client, old: str, new: str, again: str = ""):
    typed = {"old": old, "password": new, "again": again or new}
    return browser.post(reverse("change-password"), typed)


@pytest.mark.requirement("REQ-015")
def test_people_change_their_own_password_and_every_session_ends(person: User) -> None:
    here, there = Client(), Client()
    for browser in (here, there):
        send(person.email, PASSWORD, browser)
    assert change(here, PASSWORD, NEW).url == reverse("sign-in")
    for browser in (here, there):
        assert browser.get(reverse("home")).status_code == 302
    assert not [each for each in Session.objects.all() if "_auth_user_id" in each.get_decoded()]
    assert send(person.email, PASSWORD).status_code == 422
    assert send(person.email, NEW).status_code == 302
    assert (What.PASSWORD_CHANGED, "") in events(person)


@pytest.mark.parametrize(
    ("old", "new", "again", "text"),
    [
        (WRONG, NEW, "", "This is not your password."),
        (PASSWORD, PASSWORD, "", "This is your present password."),
        (PASSWORD, "short", "", "at least 12 characters"),
        (PASSWORD, NEW, "another", "The two passwords are not the same."),
        ("", NEW, "", "Type your password."),
    ],
)
def test_a_password_is_not_changed_when(person: User, old, new, again, text) -> None:
    browser = Client()
    send(person.email, PASSWORD, browser)
    answer = change(browser, old, new, again)
    assert answer.status_code == 422
    assert text in answer.content.decode()
    assert browser.get(reverse("home")).status_code == 200
    assert send(person.email, PASSWORD).status_code == 302


@pytest.mark.requirement("REQ-016")
def test_guessing_the_old_password_locks_like_guessing_at_the_door(person: User) -> None:
    browser = Client()
    send(person.email, PASSWORD, browser)
    statuses = [change(browser, WRONG, NEW).status_code for _ in range(6)]
    assert statuses == [422, 422, 422, 422, 403, 403]
    assert send(person.email, PASSWORD).status_code == 422
