"""Letters to a person about the own account, and those with a one-time link."""

import re
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from django.urls import reverse

from enrolment import people
from enrolment.people import Person, add_to_centre, give_study_role
from iwrs import outbox
from iwrs.accounts import views
from iwrs.accounts.events import Caller
from iwrs.accounts.factors import reset_factors
from iwrs.accounts.links import ask_for_link
from iwrs.accounts.models import Role, SignInEvent, User
from iwrs.accounts.services import end_account
from iwrs.models import OutboxMessage
from iwrs.problems import Problem
from tests.factories import TESTER, a_centre, a_study, a_user
from tests.queries import statements_of

What = SignInEvent.What
PASSWORD = "correct horse battery staple"
NEW = "lantern orbit cedar mosaic"
LINK = re.compile(r"http://localhost:8000(/set-password/\S+/\S+/)")
ASK = "/forgotten-password/"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "SECONDS_OF_ASKING", 0.0)


@pytest.fixture
def site(db: None) -> SimpleNamespace:
    study = a_study(with_list=False)
    centre = a_centre(study, cover=0)
    return SimpleNamespace(
        study=study,
        centre=centre,
        manager=a_user(Role.STUDY_MANAGER, study=study),
        person=a_user(Role.INVESTIGATOR, centre=centre),
    )


def letters() -> list[mail.EmailMessage]:
    """What is sent now."""
    mail.outbox.clear()
    outbox.deliver_due()
    return list(mail.outbox)


def link_in(letter: mail.EmailMessage) -> str:
    found = LINK.search(str(letter.body))
    assert found, letter.body
    return found[1]


def invited(site: SimpleNamespace, role: str = Role.PHARMACIST) -> User:
    person = Person("ines@hospital.example", "Inès Roy")
    return add_to_centre(site.centre, person, role, by=TESTER).user


@pytest.mark.requirement("REQ-014", "REQ-015")
def test_a_new_person_is_invited_by_letter_and_sets_a_password(site: SimpleNamespace) -> None:
    invited(site)
    [letter] = letters()
    assert letter.to == ["ines@hospital.example"]
    assert f"Site pharmacist, centre {site.centre}, study {site.study.code}" in letter.body
    assert site.manager.email in letter.body
    browser = Client()
    page = browser.get(link_in(letter), follow=True)
    assert "ines@hospital.example" in page.content.decode()
    sent = browser.post(reverse("choose-password"), {"password": NEW, "again": NEW})
    assert sent.url == reverse("sign-in")
    [told] = letters()
    assert "was set by a one-time link" in told.body
    assert LINK.search(told.body) is None


@pytest.mark.requirement("REQ-015")
def test_no_row_and_no_log_line_holds_the_link(
    site: SimpleNamespace, caplog: pytest.LogCaptureFixture
) -> None:
    invited(site)
    [letter] = letters()
    token = link_in(letter).strip("/").split("/")[-1]
    message = OutboxMessage.objects.get(topic="invitation")
    assert message.refs == {"event": SignInEvent.objects.get(what=What.INVITED).pk}
    with connection.cursor() as cursor:
        for table in ("iwrs_outboxmessage", "accounts_signinevent", "accounts_userevent"):
            cursor.execute(f"SELECT to_jsonb(t)::text FROM {table} t")
            assert not [row for (row,) in cursor if token in row]
    assert token not in caplog.text


@pytest.mark.requirement("REQ-015")
def test_each_invitation_is_another_letter_up_to_three_an_hour(site: SimpleNamespace) -> None:
    user = invited(site)
    people.invite_again(user, by=TESTER)
    add_to_centre(site.centre, Person(user.email, user.name), Role.MONITOR, by=TESTER)
    with pytest.raises(Problem, match="3 invitations went to this person"):
        people.invite_again(user, by=TESTER)
    sent = letters()
    assert len(sent) == len({each.extra_headers["Message-ID"] for each in sent}) == 3
    assert "Monitor" in sent[0].body, "a letter says the roles as they are when it is sent"


def test_who_has_a_password_is_not_invited(site: SimpleNamespace) -> None:
    person = Person(site.person.email, site.person.name)
    add_to_centre(site.centre, person, Role.SITE_COORDINATOR, by=TESTER)
    give_study_role(site.study, Person("a@b.example", "A", PASSWORD), Role.AUDITOR, by=TESTER)
    assert letters() == []


def test_an_invitation_is_not_sent_to_who_has_set_a_password_meanwhile(
    site: SimpleNamespace,
) -> None:
    user = invited(site)
    user.set_password(NEW)
    user.save()
    assert letters() == []
    assert OutboxMessage.objects.get().last_error == "NotNeeded"


@pytest.mark.parametrize("ended", ["role", "account"])
def test_an_invitation_is_not_sent_to_whose_role_or_account_has_ended(
    site: SimpleNamespace, ended: str
) -> None:
    user = invited(site)
    if ended == "role":
        people.end_centre_role(user.centre_roles.get(), by=TESTER, why="A mistake")
    else:
        end_account(user, by=TESTER, why="A mistake")
    assert not [each for each in letters() if LINK.search(str(each.body))]
    assert OutboxMessage.objects.get(topic="invitation").last_error == "NotNeeded"


@pytest.mark.requirement("REQ-015")
def test_an_invitation_that_has_expired_leads_to_a_new_link(
    site: SimpleNamespace, settings: SimpleNamespace
) -> None:
    invited(site)
    [letter] = letters()
    settings.PASSWORD_RESET_TIMEOUT = -1
    browser = Client()
    dead = browser.get(link_in(letter), follow=True)
    assert dead.status_code == 410
    assert f'href="{ASK}"' in dead.content.decode()
    settings.PASSWORD_RESET_TIMEOUT = 3 * 24 * 60 * 60
    assert browser.post(ASK, {"email": "INES@hospital.example"}).url == reverse("sign-in")
    [again] = letters()
    assert again.to == ["ines@hospital.example"]
    assert browser.get(link_in(again), follow=True).status_code == 200


def ask(email: str) -> tuple[int, str, str]:
    browser = Client()
    answer = browser.post(ASK, {"email": email}, REMOTE_ADDR="192.0.2.7")
    page = browser.get(answer.url)
    return answer.status_code, answer.url, page.content.decode().split('class="said"')[1][:300]


@pytest.mark.requirement("REQ-015")
def test_the_answer_does_not_tell_who_has_an_account(site: SimpleNamespace) -> None:
    ended = a_user(Role.MONITOR, centre=site.centre)
    end_account(ended, by=TESTER, why="Left")
    letters()
    told = [ask(each) for each in (site.person.email, "nobody@hospital.example", ended.email)]
    assert told[0] == told[1] == told[2]
    assert "If this address has an account here" in told[0][2]
    assert [each.to for each in letters()] == [[site.person.email]]
    rows = SignInEvent.objects.filter(what=What.LINK_ASKED).order_by("pk")
    assert [(each.user, each.method, each.address) for each in rows] == [
        (site.person, "letter", "192.0.2.7"),
        (None, "", "192.0.2.7"),
        (ended, "", "192.0.2.7"),
    ]


@pytest.mark.requirement("REQ-015")
def test_the_answer_takes_the_same_time_for_everybody(
    site: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work differs by a row or two; the answer waits until a fixed time has passed."""
    monkeypatch.setattr(views, "SECONDS_OF_ASKING", 0.6)
    for email in (site.person.email, "nobody@hospital.example"):
        began = time.monotonic()
        assert Client().post(ASK, {"email": email}).status_code == 302
        assert time.monotonic() - began >= 0.6
    work = [
        statements_of(lambda email=email: ask_for_link(email, by=Caller()))
        for email in (site.person.email, "nobody@hospital.example")
    ]
    assert all(len(each) < 14 for each in work), "far less than what the answer waits for"


@pytest.mark.requirement("REQ-015")
def test_at_most_three_letters_go_to_an_account_in_an_hour(site: SimpleNamespace) -> None:
    told = {ask(site.person.email) for _ in range(5)}
    assert len(told) == 1
    assert len(letters()) == 3
    assert SignInEvent.objects.filter(what=What.LINK_ASKED, user=site.person).count() == 5


@pytest.mark.parametrize(("typed", "said"), [("", "Type your"), ("nobody", "Type an e-mail")])
def test_what_is_no_address_is_said_and_kept(db: None, typed: str, said: str) -> None:
    answer = Client().post(ASK, {"email": typed})
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not typed or f'value="{typed}"' in answer.content.decode()
    assert not SignInEvent.objects.exists()


def test_the_door_leads_to_the_page(db: None) -> None:
    assert f'href="{ASK}"' in Client().get(reverse("sign-in")).content.decode()
    assert "Send me a link" in Client().get(ASK).content.decode()


def password_changed(user: User) -> None:
    browser = Client()
    browser.post(reverse("sign-in"), {"email": user.email, "password": PASSWORD})
    typed = {"old": PASSWORD, "password": NEW, "again": NEW}
    browser.post(reverse("change-password"), typed, HTTP_USER_AGENT="Firefox Windows")


@pytest.mark.requirement("REQ-016")
@pytest.mark.parametrize(
    ("happens", "said"),
    [
        (password_changed, ["The password of your account was changed.", "Firefox on Windows"]),
        (
            lambda user: reset_factors(user, by=TESTER, why="Lost phone"),
            ["All second factors of your account were taken away.", TESTER.label],
        ),
        (
            lambda user: end_account(user, by=TESTER, why="Left the hospital"),
            ["Your account was ended.", TESTER.label],
        ),
    ],
)
def test_the_person_is_told_what_happened_to_the_account(
    site: SimpleNamespace, happens: Callable[[User], object], said: list[str]
) -> None:
    happens(site.person)
    [letter] = letters()
    assert letter.to == [site.person.email]
    assert letter.subject.startswith(f"[{site.study.code}] ")
    for text in [*said, "If this was not you", site.manager.email, "(Europe/Paris)", "UTC"]:
        assert text in letter.body
    for secret in (PASSWORD, NEW, "Lost phone", "Left the hospital"):
        assert secret not in letter.body


def test_every_kind_of_event_is_a_letter_or_is_not_one_on_purpose() -> None:
    from enrolment.letters import TOLD

    told = {what for what, _ in TOLD} | {What.LOCKED, What.INVITED, What.LINK_ASKED}
    silent = {
        *(What.SIGNED_IN, What.REFUSED, What.SIGNED_OUT, What.SESSION_ENDED),
        What.SIGNING_LOCKED,  # a letter to the managers, of its own
        What.SECRET_REPLACED,  # of an EDC system, which reads no letters
    }
    assert told | silent == set(What)
    assert not told & silent
