"""Who has access: the list, its review, and the delegation log of a centre."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from io import StringIO
from types import SimpleNamespace

import pytest
import time_machine
from django.core import mail
from django.core.management import call_command
from django.db import connection
from django.urls import reverse
from psycopg import errors

from enrolment import people
from enrolment.access_review import (
    HEAD,
    fingerprint,
    is_due,
    last_review,
    record_access_review,
    who_has_access,
)
from enrolment.models import AccessReview
from enrolment.people import Person
from enrolment.tasks import remind_of_access_review
from iwrs import outbox
from iwrs.accounts.models import Role
from iwrs.clock import real_today
from iwrs.models import OutboxMessage
from iwrs.templatetags.portal import spelled
from tests.api.client import register
from tests.factories import TESTER, a_centre, a_study, a_user
from tests.hostile.walk import signed_in
from tests.portal.conftest import a_site
from tests.queries import queries_of
from tests.roles import Logins, as_unblinded

FORMULA = "=cmd|' /C calc'!A0"


@pytest.fixture
def site(db: None) -> SimpleNamespace:
    return a_site()


def rows_of(answer: object) -> list[list[str]]:
    return list(csv.reader(io.StringIO(answer.content.decode())))  # type: ignore[attr-defined]


@pytest.mark.requirement("REQ-020")
def test_every_role_and_client_is_listed_on_the_page_and_in_the_file(site: SimpleNamespace) -> None:
    register(site.study)
    a_user(Role.MONITOR, study=a_study(with_list=False))  # of another study
    browser = signed_in(site.administrator)
    page = browser.get(reverse("access", args=[site.study.code])).content.decode()
    file = browser.get(reverse("access-csv", args=[site.study.code]))
    assert file.headers["Content-Type"].startswith("text/csv")
    head, *rows = rows_of(file)
    assert tuple(head) == HEAD
    assert len(rows) == 9 + 1
    for role in ("investigator", "monitor", "administrator", "auditor"):
        person = getattr(site, role)
        assert person.name in page
        [row] = [each for each in rows if each[1] == person.email]
        at = f"centre {site.here.number}" if role in {"investigator", "monitor"} else "whole study"
        assert row[2:5] == [Role(role).label, at, "2000-01-01"]
        assert row[6] == "open"
    assert [each for each in rows if each[0] == "EDC client Rave"]
    assert [each[7] != "never" for each in rows if each[1] == site.administrator.email] == [True]


@pytest.mark.requirement("REQ-020")
def test_a_review_is_recorded_with_who_when_and_notes(site: SimpleNamespace) -> None:
    browser, page = signed_in(site.study_manager), reverse("review-access", args=[site.study.code])
    seen = browser.get(page).context["form"].initial["seen"]
    assert browser.post(page, {"seen": seen, "notes": " "}).status_code == 422
    assert not AccessReview.objects.exists()
    assert browser.post(page, {"seen": seen, "notes": "Compared with the list"}).status_code == 302
    made = AccessReview.objects.get()
    assert (made.reviewed_by, made.notes) == (str(site.study_manager), "Compared with the list")
    assert (made.rows, made.sha256) == (len(who_has_access(site.study)), seen)
    assert datetime.now(UTC) - made.reviewed_at < timedelta(minutes=2)
    shown = browser.get(reverse("access", args=[site.study.code])).content.decode()
    assert "Compared with the list" in shown
    with connection.cursor() as cursor:
        cursor.execute("SELECT pgh_context ->> 'act' FROM enrolment_accessreviewevent")
        assert cursor.fetchall() == [("review access",)]


@pytest.mark.requirement("REQ-020")
def test_a_list_that_changed_meanwhile_is_not_the_one_that_was_reviewed(
    site: SimpleNamespace,
) -> None:
    browser, page = signed_in(site.study_manager), reverse("review-access", args=[site.study.code])
    seen = browser.get(page).context["form"].initial["seen"]
    people.end_centre_role(site.pharmacist.centre_roles.get(), by=TESTER, why="Left")
    answer = browser.post(page, {"seen": seen, "notes": "All right"})
    assert (answer.status_code, AccessReview.objects.count()) == (409, 0)
    assert "The list has changed since you opened this page." in answer.content.decode()


@pytest.mark.requirement("REQ-020")
def test_what_is_reviewed_is_the_list_that_the_person_came_from(site: SimpleNamespace) -> None:
    browser = signed_in(site.study_manager)
    page = browser.get(reverse("access", args=[site.study.code])).content.decode()
    found = re.search(r'href="([^"]*review[^"]*\?seen=([0-9a-f]{64}))"', page)
    assert found
    people.end_centre_role(site.pharmacist.centre_roles.get(), by=TESTER, why="Left")
    seen = browser.get(found[1]).context["form"].initial["seen"]
    assert seen == found[2]
    answer = browser.post(found[1], {"seen": seen, "notes": "All right"})
    assert (answer.status_code, AccessReview.objects.count()) == (409, 0)


@pytest.mark.requirement("REQ-020")
def test_managers_are_reminded_when_the_last_review_is_older_than_90_days(
    site: SimpleNamespace,
) -> None:
    told = "was not reviewed in the last 90 days"
    assert told in signed_in(site.study_manager).get("/").content.decode()
    assert told not in signed_in(site.auditor).get("/").content.decode()
    AccessReview.objects.create(
        study=site.study,
        reviewed_by="A",
        reviewed_at=datetime.now(UTC),
        rows=1,
        sha256="0" * 64,
        notes="Seen",
    )
    assert told not in signed_in(site.study_manager).get("/").content.decode()
    for days, due in ((89, False), (91, True)):
        with time_machine.travel(datetime.now(UTC) + timedelta(days=days), tick=False):
            assert is_due(last_review(site.study)) is due


@pytest.mark.requirement("REQ-020", "REQ-026")
def test_no_login_changes_a_review(logins: Logins) -> None:
    for side in ("blinded", "unblinded"):
        for change in ("UPDATE %s SET notes = 'x'", "DELETE FROM %s", "TRUNCATE %s"):
            with pytest.raises(errors.InsufficientPrivilege):
                getattr(logins, side)().execute(change % "public.enrolment_accessreview")


@pytest.mark.requirement("REQ-020")
def test_the_unblinded_side_lists_its_own_accounts(
    site: SimpleNamespace, settings: SimpleNamespace
) -> None:
    settings.SIDE = "unblinded"
    with as_unblinded():
        person = a_user(Role.SUPPLY_MANAGER, study=site.study)
        printed = StringIO()
        call_command("account", "list", "--study", site.study.code, stdout=printed)
    head, *rows = csv.reader(io.StringIO(printed.getvalue()))
    assert [each[:4] for each in rows] == [
        [person.name, person.email, "Supply manager", "whole study"]
    ]
    assert tuple(head) == HEAD


@pytest.mark.requirement("REQ-018")
def test_the_delegation_log_shows_each_time_a_role_was_held(site: SimpleNamespace) -> None:
    today = real_today(site.here.time_zone)
    person = Person("lea@example.org", FORMULA, "correct horse battery staple")
    held = people.add_to_centre(site.here, person, Role.INVESTIGATOR, by=TESTER)
    people.end_centre_role(held, by=TESTER, why="Leave")
    with time_machine.travel(datetime.now(UTC) + timedelta(days=5), tick=False):
        people.add_to_centre(site.here, person, Role.INVESTIGATOR, by=TESTER)
    people.add_to_centre(site.there, person, Role.MONITOR, by=TESTER)
    browser = signed_in(site.monitor)
    page = browser.get(reverse("delegation-log", args=[site.here.pk])).content.decode()
    assert page.count(TESTER.label.replace("<", "&lt;").replace(">", "&gt;")) >= 3
    _, *rows = rows_of(browser.get(reverse("delegation-csv", args=[site.here.pk])))
    lea = [each for each in rows if "cmd" in each[0]]
    assert [each[3:5] for each in lea] == [
        [str(today), str(today - timedelta(days=1))],
        [str(today + timedelta(days=5)), ""],
    ]
    assert all(each[0] == f"'{FORMULA}" for each in lea), "no cell runs in a spreadsheet"
    assert "randomize" in lea[0][2]
    assert "make a data cut" not in lea[0][2]


@pytest.mark.parametrize("name", ["access", "access-csv", "delegation-log", "delegation-csv"])
def test_a_list_asks_the_same_number_of_questions_whatever_its_length(
    site: SimpleNamespace, name: str
) -> None:
    browser = signed_in(site.administrator)
    of = site.here.pk if name.startswith("delegation") else site.study.code
    address = reverse(name, args=[of])

    def asked() -> int:
        return len(queries_of(browser, address))

    few = asked()
    for _ in range(5):
        a_user(Role.MONITOR, centre=site.here)
        a_user(Role.AUDITOR, study=site.study)
        a_centre(site.study, cover=0)
    assert asked() == few


def sent_now() -> list[mail.EmailMessage]:
    mail.outbox.clear()
    outbox.deliver_due()
    return list(mail.outbox)


@pytest.mark.requirement("REQ-020")
def test_a_letter_reminds_once_in_each_period_without_a_review(site: SimpleNamespace) -> None:
    remind_of_access_review(site.study.pk)
    remind_of_access_review(site.study.pk)
    [letter] = sent_now()
    assert set(letter.to) == {site.study_manager.email, site.administrator.email}
    assert "Nobody has reviewed yet" in letter.body
    assert reverse("access", args=[site.study.code]) in letter.body
    made = AccessReview.objects.create(
        study=site.study,
        reviewed_by="A Person",
        reviewed_at=datetime.now(UTC),
        rows=1,
        sha256="0" * 64,
        notes="Seen",
    )
    for days, letters in ((1, 0), (91, 1), (92, 0), (181, 1), (182, 0)):
        with time_machine.travel(made.reviewed_at + timedelta(days=days), tick=False):
            remind_of_access_review(site.study.pk)
            sent = sent_now()
            assert len(sent) == letters, days
            assert not sent or "by A Person" in sent[0].body


def test_a_reminder_is_not_sent_when_somebody_has_reviewed_meanwhile(site: SimpleNamespace) -> None:
    remind_of_access_review(site.study.pk)
    seen = fingerprint(who_has_access(site.study))
    record_access_review(site.study, seen=seen, notes="All seen", by=TESTER)
    assert sent_now() == []
    assert OutboxMessage.objects.get().last_error == "NotNeeded"


def test_people_read_days_and_moments_in_words() -> None:
    assert spelled("2011-02-11") == "11 February 2011"
    assert spelled("2011-02-11T08:15Z") == "11 February 2011, 08:15 UTC"
    assert [spelled(text) for text in ("never", "", "2011-02-31")] == ["never", "", "2011-02-31"]
