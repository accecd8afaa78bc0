"""The door: one message for every refusal, a lock after five, an end of every session."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from iwrs.accounts.models import Role, User
from iwrs.accounts.views import REFUSED
from tests.factories import a_centre, a_study, a_user

PASSWORD = "correct horse battery staple"
WRONG = "wrong " + PASSWORD
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="[^"]+"')  # new in each form


@pytest.fixture
def person(db):
    return a_user(Role.INVESTIGATOR, centre=a_centre(a_study(with_list=False), cover=0))


def send(client, email, password, **more):
    return client.post(reverse("sign-in"), {"email": email, "password": password, **more})


def test_right_password_signs_in_and_goes_where_the_person_wanted(person):
    browser = Client()
    asked = browser.get(reverse("subjects"))
    assert asked.url == f"{reverse('sign-in')}?next={reverse('subjects')}"
    answer = send(browser, person.email.upper(), PASSWORD, next=reverse("subjects"))
    assert (answer.status_code, answer.url) == (302, reverse("subjects"))
    assert browser.get(reverse("subjects")).status_code == 200


@pytest.mark.requirement("REQ-076")
def test_another_site_is_never_the_next_page(person):
    answer = send(Client(), person.email, PASSWORD, next="https://elsewhere.example/")
    assert answer.url == reverse("home")


@pytest.mark.requirement("REQ-016")
def test_every_refusal_reads_the_same(person):
    inactive = a_user(Role.MONITOR)
    User.objects.filter(pk=inactive.pk).update(is_active=False)
    locked = a_user(Role.MONITOR)
    User.objects.filter(pk=locked.pk).update(locked_until=datetime.now(UTC) + timedelta(minutes=5))
    pages = []
    for email, password in [
        (person.email, WRONG),
        ("nobody@example.org", PASSWORD),
        (inactive.email, PASSWORD),
        (locked.email, PASSWORD),
    ]:
        answer = send(Client(), email, password)
        assert answer.status_code == 422
        page = answer.content.decode().replace(email, "EMAIL")
        pages.append(TOKEN.sub("", page))
    assert REFUSED in pages[0]
    assert pages[0] == pages[1] == pages[2] == pages[3]


@pytest.mark.requirement("REQ-016")
def test_five_wrong_passwords_lock_for_fifteen_minutes(person):
    for _ in range(4):
        send(Client(), person.email, WRONG)
    assert send(Client(), person.email, PASSWORD).status_code == 302  # four are forgiven
    for _ in range(5):
        send(Client(), person.email, WRONG)
    assert send(Client(), person.email, PASSWORD).status_code == 422
    person.refresh_from_db()
    left = person.locked_until - datetime.now(UTC)
    assert timedelta(minutes=14) < left <= timedelta(minutes=15)
    User.objects.filter(pk=person.pk).update(locked_until=datetime.now(UTC) - timedelta(seconds=1))
    assert send(Client(), person.email, PASSWORD).status_code == 302
    person.refresh_from_db()
    assert (person.failed_attempts, person.locked_until) == (0, None)


def test_sign_out_ends_the_session_and_needs_post(person):
    browser = Client()
    browser.force_login(person)
    assert browser.get(reverse("sign-out")).status_code == 405
    assert browser.get(reverse("home")).status_code == 200
    browser.post(reverse("sign-out"))
    assert browser.get(reverse("home")).status_code == 302


@pytest.mark.requirement("REQ-015")
def test_a_deactivated_person_is_out_at_once(person):
    browser = Client()
    browser.force_login(person)
    User.objects.filter(pk=person.pk).update(is_active=False)
    assert browser.get(reverse("home")).status_code == 302


@pytest.mark.requirement("REQ-022")
def test_session_ends_after_twenty_minutes_without_use_and_pages_are_not_kept(person):
    browser = Client()
    browser.force_login(person)
    answer = browser.get(reverse("home"))
    assert answer.headers["Cache-Control"] == "no-store, private"
    assert answer.cookies["iwrs_blinded_session"]["max-age"] == 1200


@pytest.mark.requirement("REQ-076")
def test_forms_are_refused_without_the_token_of_our_own_page(person):
    browser = Client(enforce_csrf_checks=True)
    answer = send(browser, person.email, PASSWORD)
    assert answer.status_code == 403
    assert b"This form is too old." in answer.content


def test_health_says_ok_and_nothing_more(db, client):
    answer = client.get("/health/")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.requirement("REQ-077")
def test_no_page_needs_inline_style_or_script(person):
    browser = Client()
    browser.force_login(person)
    for name in ("home", "subjects", "centres"):
        answer = browser.get(reverse(name))
        page = answer.content.decode()
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
        assert " style=" not in page
        assert "<style" not in page
        assert " onclick" not in page
