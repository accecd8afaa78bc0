"""Sessions: seen and ended by their owner, and old after twelve hours of whatever use."""

import re
from datetime import datetime, timedelta

import pytest
import time_machine
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse

from iwrs.accounts.models import Role, SignInEvent, User
from iwrs.accounts.sessions import name_of
from tests.factories import a_centre, a_study, a_user

PASSWORD = "correct horse battery staple"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Safari/604.1"
NOW = datetime.fromisoformat("2026-06-01T10:00:00+00:00")


@pytest.fixture
def person(db: None) -> User:
    return a_user(Role.MONITOR, centre=a_centre(a_study(with_list=False), cover=0))


def signed_in(user: User, agent: str = FIREFOX, address: str = "192.0.2.7") -> Client:
    browser = Client(headers={"User-Agent": agent}, REMOTE_ADDR=address)
    browser.post(reverse("sign-in"), {"email": user.email, "password": PASSWORD})
    assert browser.get(reverse("home")).status_code == 200
    return browser


def is_in(browser: Client) -> bool:
    return browser.get(reverse("home")).status_code == 200


def ids_on(page: str) -> list[str]:
    return [each for each in re.findall(r'name="which" value="(\w+)"', page) if each != "others"]


@pytest.mark.requirement("REQ-015")
def test_people_see_where_they_are_signed_in_and_end_one_session(person: User) -> None:
    here, there = signed_in(person), signed_in(person, SAFARI, "198.51.100.4")
    stranger = signed_in(a_user(Role.MONITOR))
    page = here.get(reverse("sessions")).content.decode()
    assert "Firefox on Windows (this one)" in page
    assert "Safari on iPhone" in page
    assert "198.51.100.4" in page
    assert not any(row.pk in page for row in Session.objects.all())  # no key is shown
    [other] = ids_on(page)
    assert here.post(reverse("sessions"), {"which": other}).status_code == 302
    assert (is_in(here), is_in(there), is_in(stranger)) == (True, False, True)
    ended = SignInEvent.objects.filter(what=SignInEvent.What.SESSION_ENDED)
    assert [row.user for row in ended] == [person]


def test_all_others_are_ended_at_once(person: User) -> None:
    here, *others = (signed_in(person) for _ in range(3))
    assert here.post(reverse("sessions"), {"which": "others"}).status_code == 302
    assert [is_in(each) for each in (here, *others)] == [True, False, False]


def test_nobody_ends_anothers_session(person: User) -> None:
    theirs, mine = signed_in(a_user(Role.MONITOR)), signed_in(person)
    second = signed_in(person)
    [known] = ids_on(mine.get(reverse("sessions")).content.decode())
    for which in (known, "others", "", "x", theirs.cookies["iwrs_blinded_session"].value):
        assert theirs.post(reverse("sessions"), {"which": which}).status_code == 422
    assert is_in(mine)
    assert is_in(second)


@pytest.mark.requirement("REQ-022")
def test_a_session_ends_after_twelve_hours_however_much_it_is_used(person: User) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        browser = signed_in(person)
        for _ in range(47):
            clock.shift(timedelta(minutes=15))
            assert is_in(browser)
        clock.shift(timedelta(minutes=14))
        assert is_in(browser)
        clock.shift(timedelta(minutes=2))
        answer = browser.get(reverse("centres"))
        assert answer.url == f"{reverse('sign-in')}?next={reverse('centres')}"
        assert not is_in(browser)


@pytest.mark.requirement("REQ-022")
def test_a_session_ends_after_twenty_minutes_without_use(person: User) -> None:
    with time_machine.travel(NOW, tick=False) as clock:
        browser = signed_in(person)
        clock.shift(timedelta(minutes=19))
        assert browser.get(reverse("stay")).status_code == 204
        clock.shift(timedelta(minutes=19))
        assert is_in(browser)
        clock.shift(timedelta(minutes=21))
        assert browser.get(reverse("stay")).status_code == 302
        assert not is_in(browser)


@pytest.mark.parametrize(
    ("told", "name"),
    [
        (FIREFOX, "Firefox on Windows"),
        (SAFARI, "Safari on iPhone"),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/140 Mobile Safari/537", "Chrome on Android"),
        ("<script>alert(1)</script>", "A browser"),
        ("", "A browser"),
    ],
)
def test_a_browser_is_named_in_two_words(told: str, name: str) -> None:
    assert name_of(told) == name
