"""Letters to unblinded staff about their accounts: by their own side, and about nothing else."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from types import SimpleNamespace

import pytest
import time_machine
from django.core import mail
from django.core.management import call_command
from django.db import IntegrityError
from django.db.models import Max
from django.urls import reverse
from psycopg.errors import InsufficientPrivilege

from enrolment.access_review import as_csv, fingerprint, record_access_review, who_has_access
from enrolment.models import CentreRole
from enrolment.tasks import unblinded_remind_of_access_reviews
from iwrs import outbox
from iwrs.accounts import views
from iwrs.accounts.events import Caller, record
from iwrs.accounts.links import ask_for_link
from iwrs.accounts.models import Role, SignInEvent, User
from iwrs.accounts.services import end_account, signed_in
from iwrs.actors import SYSTEM
from iwrs.acts import act
from iwrs.models import STAFF_TOPICS, OutboxMessage, StaffLetter, Study
from iwrs.problems import Problem
from iwrs.signatures.services import sign
from iwrs.tasks import unblinded_deliver_letters
from tests.dsmb.rows import as_owner
from tests.factories import TESTER, a_centre, a_study, a_user
from tests.roles import Logins, as_unblinded
from tests.unblinded_site.conftest import Browser, person, study, unblinded_side

__all__ = ["person", "study", "unblinded_side"]
NEW = "lantern orbit cedar mosaic"
LINK = re.compile(r"https://staff\.example(/set-password/\S+/\S+/)")
EMAIL = "mara@statistics.example"
MakePerson = Callable[[Role], User]


@pytest.fixture(autouse=True)
def address(settings: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.PORTAL_URL = "https://staff.example"
    monkeypatch.setattr(views, "SECONDS_OF_ASKING", 0.0)


def letters() -> list[mail.EmailMessage]:
    """What the unblinded worker sends now."""
    mail.outbox.clear()
    with as_unblinded():
        unblinded_deliver_letters()
    return list(mail.outbox)


def invite(study: Study) -> str:
    said = StringIO()
    named = ("--email", EMAIL, "--name", "Mara Lind", "--study", study.code)
    with as_unblinded():
        call_command(
            *("account", "create", *named, "--role", Role.SUPPLY_MANAGER, "--invite"), stdout=said
        )
    return said.getvalue()


@pytest.mark.requirement("REQ-014", "REQ-015")
def test_unblinded_staff_are_invited_by_letter_and_set_a_password(study: Study) -> None:
    assert "A letter with a link to set the password goes to" in invite(study)
    [letter] = letters()
    assert letter.to == [EMAIL]
    assert f"Supply manager, study {study.code}" in letter.body
    assert "- who runs the system" in letter.body, "nobody looks after accounts on this site"
    found = LINK.search(str(letter.body))
    assert found, letter.body
    browser = Browser()
    assert browser.get(found[1]).status_code == 302
    assert EMAIL in browser.get(reverse("choose-password")).content.decode()
    assert browser.post(reverse("choose-password"), password=NEW, again=NEW).status_code == 302
    [told] = letters()
    assert "was set by a one-time link" in told.body
    assert not LINK.search(str(told.body))
    with as_unblinded():
        assert signed_in(EMAIL, NEW, by=Caller()) is not None


@pytest.mark.requirement("REQ-015")
def test_who_forgot_a_password_gets_a_link(study: Study, person: MakePerson) -> None:
    asking = person(Role.UNBLINDED_STATISTICIAN)
    browser = Browser()
    for email in (asking.email, "nobody@statistics.example"):
        assert browser.post("/forgotten-password/", email=email).status_code == 302
    [letter] = letters()
    assert letter.to == [asking.email]
    assert LINK.search(str(letter.body))


@pytest.mark.requirement("REQ-016")
def test_a_lock_is_told_to_all_unblinded_staff_of_the_study_and_to_nobody_else(
    study: Study, person: MakePerson, settings: SimpleNamespace
) -> None:
    settings.SIDE = "blinded"
    manager = a_user(Role.STUDY_MANAGER, study=study)
    settings.SIDE = "unblinded"
    locked, other = person(Role.UNBLINDED_STATISTICIAN), person(Role.SUPPLY_MANAGER)
    with as_unblinded():
        for _ in range(5):
            signed_in(locked.email, "a guess", by=Caller("192.0.2.7"))
    [letter] = letters()
    assert set(letter.to) == {locked.email, other.email}
    assert manager.email not in letter.body
    assert "was locked after 5 wrong passwords" in letter.body
    assert "from 192.0.2.7" in letter.body


@pytest.mark.requirement("REQ-016")
def test_so_is_the_lock_of_signing(study: Study, person: MakePerson) -> None:
    signer, other = person(Role.UNBLINDED_STATISTICIAN), person(Role.UNBLINDED_STATISTICIAN)
    with as_unblinded():
        for attempt in range(3):
            wrong = {"email": signer.email, "password": "a guess", "meaning": "I approve"}
            with pytest.raises(Problem) as refused:
                sign(signer, **wrong, study=study)
            assert (refused.value.code == "signing_locked") == (attempt == 2)
        assert "The study's unblinded staff are told." in str(refused.value)
    [letter] = letters()
    assert set(letter.to) == {signer.email, other.email}
    assert letter.subject == f"[{study.code}] Signing locked after wrong tries"
    assert signer.email in letter.body
    assert "ask who runs the system to end the account's access" in letter.body


@pytest.mark.requirement("REQ-015")
def test_the_person_is_told_of_the_own_account_and_of_no_one_elses_centre(
    study: Study, person: MakePerson
) -> None:
    """Accounts of the two sides may have the same key, and roles at centres are of blinded ones."""
    staff = person(Role.SUPPLY_MANAGER)
    centre = a_centre(study, cover=0)
    twin = User.objects.filter(pk=staff.pk).first() or User.objects.create(
        pk=staff.pk, email="twin@hospital.example", name="Twin"
    )
    CentreRole.objects.create(user=twin, centre=centre, role=Role.INVESTIGATOR, since="2000-01-01")
    with as_unblinded():
        end_account(staff, by=TESTER, why="Left")
    [letter] = letters()
    assert letter.to == [staff.email]
    assert "Your account was ended." in letter.body
    assert centre.time_zone not in letter.body


@pytest.mark.requirement("REQ-016")
def test_nobody_of_the_study_of_a_blinded_person_with_the_same_key_is_told(
    study: Study, person: MakePerson
) -> None:
    elsewhere = a_study(with_list=False)
    locked = person(Role.SUPPLY_MANAGER)
    twin = User.objects.filter(pk=locked.pk).first() or User.objects.create(
        pk=locked.pk, email="twin@hospital.example", name="Twin"
    )
    centre = a_centre(elsewhere, cover=0)
    CentreRole.objects.create(user=twin, centre=centre, role=Role.INVESTIGATOR, since="2000-01-01")
    with as_unblinded():
        a_user(Role.SUPPLY_MANAGER, study=elsewhere)
        for _ in range(5):
            signed_in(locked.email, "a guess", by=Caller("192.0.2.7"))
    assert [letter.to for letter in letters()] == [[locked.email]]


@pytest.mark.requirement("REQ-020")
def test_the_unblinded_auditor_is_reminded_of_the_review_of_access(
    study: Study, person: MakePerson
) -> None:
    with as_owner():
        Study.objects.filter(pk=study.pk).update(created_at=datetime.now(UTC) - timedelta(days=91))
    auditor, other = person(Role.UNBLINDED_AUDITOR), person(Role.SUPPLY_MANAGER)
    for _ in range(2):
        with as_unblinded():
            unblinded_remind_of_access_reviews()
    [letter] = letters()
    assert letter.to == [auditor.email]
    assert f"https://staff.example/studies/{study.code}/access/" in letter.body
    assert "ask who runs the system to end the roles" in letter.body, "no page of this site does"
    with as_unblinded():
        seen = fingerprint(who_has_access(study))
        assert other.email in as_csv(who_has_access(study))
        record_access_review(study, seen=seen, notes="Looked through.", by=TESTER)
        unblinded_remind_of_access_reviews()
    assert letters() == []


@pytest.mark.requirement("REQ-020")
def test_an_auditor_who_comes_late_gets_one_reminder_and_not_one_of_each_period(
    study: Study, person: MakePerson
) -> None:
    today = datetime.now(UTC)
    for days in (1, 91, 181):
        with as_owner():
            Study.objects.filter(pk=study.pk).update(created_at=today - timedelta(days=days))
        with as_unblinded():
            unblinded_remind_of_access_reviews()
        assert letters() == [], "nobody may review yet"
    auditor = person(Role.UNBLINDED_AUDITOR)
    with time_machine.travel(today + timedelta(hours=7), tick=True):
        sent = letters()
    assert [letter.to for letter in sent] == [[auditor.email]]


def test_the_letters_of_either_side_are_rows_of_that_side(
    study: Study, person: MakePerson, settings: SimpleNamespace
) -> None:
    staff = person(Role.SUPPLY_MANAGER)
    with as_unblinded():
        record(SignInEvent.What.PASSWORD_CHANGED, staff, by=Caller())
        [own] = StaffLetter.objects.all()
    assert not OutboxMessage.objects.exists()
    settings.SIDE = "blinded"
    outbox.deliver_due()
    assert mail.outbox == [], "the blinded worker does not find it"
    with as_unblinded():
        assert own.key.startswith("staff-account-changed-"), "no message of the other side's name"
        assert own.refs == {"event": SignInEvent.objects.aggregate(pk=Max("pk"))["pk"]}


@pytest.mark.usefixtures("committed_db")
def test_nobody_blinded_writes_into_a_letter_to_unblinded_staff(
    logins: Logins, settings: SimpleNamespace
) -> None:
    study = a_study(with_list=False)
    lure = "Set your password again: https://evil.example"
    logins.blinded().execute("UPDATE iwrs_study SET title = %s WHERE id = %s", [lure, study.pk])
    settings.SIDE, settings.ROOT_URLCONF = "unblinded", "trial.urls_unblinded"
    invite(study)
    with as_unblinded():
        a_user(Role.UNBLINDED_AUDITOR, study=study)
        staff = User.objects.get(email=EMAIL)
        ask_for_link(EMAIL, by=Caller())
        for _ in range(5):
            signed_in(EMAIL, "a guess", by=Caller())
        unblinded_remind_of_access_reviews()
    sent = letters()
    with as_unblinded():
        end_account(staff, by=TESTER, why="Left")
    sent += letters()
    assert len(sent) == len({letter.subject for letter in sent}) == 5
    for letter in sent:
        assert study.code in letter.body
        assert "evil" not in f"{letter.subject} {letter.body}"


@pytest.mark.requirement("REQ-056")
def test_the_database_takes_no_letter_about_anything_but_accounts(study: Study) -> None:
    refused = pytest.raises(IntegrityError, match="staff_letter_about_accounts")
    with as_unblinded():
        for topic in ("visit-reminder", "interim-notice", "code-break-requested", "anything"):
            with refused, act("test", by=SYSTEM):
                outbox.queue(study, topic, key=topic, refs={})
        assert not StaffLetter.objects.exists()


def test_each_of_its_topics_is_written_by_somebody() -> None:
    outbox.autodiscover_modules("letters")
    assert set(STAFF_TOPICS) <= set(outbox._writers)


@pytest.mark.requirement("REQ-042")
def test_the_blinded_login_does_not_see_them(db: None, logins: Logins) -> None:
    for statement in ("SELECT 1 FROM", "DELETE FROM"):
        with pytest.raises(InsufficientPrivilege):
            logins.blinded().execute(f"{statement} unblinded.staff_letter")
    assert logins.unblinded().execute("SELECT count(*) FROM unblinded.staff_letter").fetchone()
