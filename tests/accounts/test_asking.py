"""Asking for a link: it waits for nobody's account, has a limit, and uses up no invitation."""

import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from django.db import connection
from django.test import Client

from enrolment import people
from enrolment.people import Person, add_to_centre
from iwrs.accounts import links, views
from iwrs.accounts.events import Caller
from iwrs.accounts.links import MOST_ASKED, ask_for_link
from iwrs.accounts.models import Role, SignInEvent, User
from iwrs.accounts.services import signed_in
from iwrs.models import OutboxMessage
from tests.factories import TESTER, a_centre, a_study, a_user
from tests.roles import Logins

What = SignInEvent.What
ASK = "/forgotten-password/"
HERE, THERE = Caller("192.0.2.7", "Firefox"), Caller("192.0.2.8", "Firefox")


@pytest.fixture
def person(db: None) -> User:
    return a_user(Role.INVESTIGATOR, centre=a_centre(a_study(with_list=False), cover=0))


def letters_of(user: User) -> int:
    rows = SignInEvent.objects.filter(user=user, what=What.LINK_ASKED, method="letter")
    return rows.count()


@pytest.mark.requirement("REQ-015")
def test_requests_of_a_stranger_use_up_no_invitation(db: None) -> None:
    centre = a_centre(a_study(with_list=False), cover=0)
    newcomer = Person("ines@hospital.example", "Inès Roy")
    held = add_to_centre(centre, newcomer, Role.PHARMACIST, by=TESTER)
    assert held.invited
    for _ in range(5):
        ask_for_link(held.user.email, by=HERE)
    people.invite_again(held.user, by=TESTER)
    assert letters_of(held.user) == 3
    assert OutboxMessage.objects.filter(topic="invitation").count() == 2


@pytest.mark.requirement("REQ-015")
def test_invitations_use_up_no_request(db: None) -> None:
    centre = a_centre(a_study(with_list=False), cover=0)
    newcomer = Person("ines@hospital.example", "Inès Roy")
    held = add_to_centre(centre, newcomer, Role.PHARMACIST, by=TESTER)
    for _ in range(2):
        people.invite_again(held.user, by=TESTER)
    ask_for_link(held.user.email, by=HERE)
    assert letters_of(held.user) == 1


@pytest.mark.requirement("REQ-015")
def test_one_caller_asks_twenty_times_an_hour_and_reads_the_same(
    person: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(views.time, "sleep", waited.append)
    for number in range(MOST_ASKED - 1):
        ask_for_link(f"nobody{number}@hospital.example", by=HERE)
    told = set()
    for email in ("nobody@hospital.example", person.email, "nobody@hospital.example"):
        browser = Client()
        answer = browser.post(ASK, {"email": email}, REMOTE_ADDR="192.0.2.7")
        told.add(browser.get(answer.url).content.decode().split('class="said"')[1].split("</")[0])
    assert len(told) == 1
    assert len(waited) == 1, "what is not taken holds no thread"
    assert SignInEvent.objects.filter(what=What.LINK_ASKED).count() == MOST_ASKED
    assert not OutboxMessage.objects.exists()
    assert ask_for_link(person.email, by=THERE), "others are not kept out"
    assert letters_of(person) == 1


@pytest.fixture
def signing_in(committed_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """Somebody whose password is being checked, for as long as the test likes."""
    user = a_user(Role.INVESTIGATOR, centre=a_centre(a_study(with_list=False), cover=0))
    checking, go_on = threading.Event(), threading.Event()

    def slow(*_: object) -> bool:
        checking.set()
        return not go_on.wait(60)

    def guess() -> None:
        signed_in(user.email, "a guess", by=THERE)
        connection.close()

    monkeypatch.setattr(User, "check_password", slow)
    guessing = threading.Thread(target=guess)
    guessing.start()
    assert checking.wait(30)
    yield SimpleNamespace(user=user)
    go_on.set()
    guessing.join()


def ask_in_time(email: str) -> None:
    """Ask, with an error where the request would wait for a lock."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '2s'")
    try:
        ask_for_link(email, by=HERE)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")


@pytest.mark.requirement("REQ-015")
def test_asking_does_not_wait_for_an_account_that_is_signing_in(
    signing_in: SimpleNamespace,
) -> None:
    """Else time would tell who has one: only an account that exists can be waited for."""
    ask_in_time("nobody@hospital.example")
    ask_in_time(signing_in.user.email)
    assert letters_of(signing_in.user) == 1, "nor does guessing keep letters away"


@pytest.mark.parametrize("key", [links._CALLER, links._TYPED])
@pytest.mark.parametrize("known", [True, False])
def test_requests_are_counted_one_by_one_whoever_has_an_account(
    committed_db: None, logins: Logins, key: int, known: bool
) -> None:
    user = a_user(Role.INVESTIGATOR, centre=a_centre(a_study(with_list=False), cover=0))
    email = user.email if known else "nobody@hospital.example"
    text = {links._CALLER: HERE.address, links._TYPED: email}[key]
    other = logins.blinded()
    with other.transaction():
        other.execute("SELECT pg_advisory_xact_lock(%s::int, hashtext(%s))", [key, text])
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '200ms'")
        with pytest.raises(Exception, match="lock timeout"):
            ask_for_link(email, by=HERE)
    with connection.cursor() as cursor:
        cursor.execute("RESET lock_timeout")
    assert not SignInEvent.objects.exists()
