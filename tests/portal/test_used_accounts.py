"""Nobody gets a link for an account that lives, though it has no password."""

from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from allauth.socialaccount.models import SocialAccount
from django.core import mail
from django.test import Client
from django.urls import reverse

from enrolment import people
from enrolment.people import Person, add_to_centre
from iwrs import outbox
from iwrs.accounts.events import Caller
from iwrs.accounts.links import MOST_LETTERS, ask_for_link
from iwrs.accounts.models import Role, SignInEvent, User
from iwrs.models import OutboxMessage
from iwrs.problems import Problem
from tests.factories import TESTER, a_centre, a_study

What = SignInEvent.What
NAMED = {"email": "ines.roy@hospital.example", "name": "Inès Roy"}


@pytest.fixture
def manager(site: SimpleNamespace, signed_in: Callable[[User], Client]) -> Client:
    return signed_in(site.study_manager)


@pytest.fixture
def newcomer(site: SimpleNamespace) -> User:
    return add_to_centre(site.here, Person(**NAMED), Role.PHARMACIST, by=TESTER).user


def signed_in_before(user: User) -> None:
    User.objects.filter(pk=user.pk).update(last_login=datetime.now(UTC))


def linked(user: User) -> None:
    SocialAccount.objects.create(user=user, provider="directory", uid="42")


lives = pytest.mark.parametrize("begins", [signed_in_before, linked])


def sent() -> list[mail.EmailMessage]:
    mail.outbox.clear()
    outbox.deliver_due()
    return list(mail.outbox)


@pytest.mark.requirement("REQ-039")
@lives
def test_nobody_reads_a_link_for_an_account_of_a_directory(
    site: SimpleNamespace, manager: Client, newcomer: User, begins: Callable[[User], None]
) -> None:
    role = newcomer.centre_roles.get()
    link, listed = reverse("person-link", args=[role.pk]), reverse("people", args=[site.here.pk])
    assert "/set-password/" in manager.get(link).content.decode()
    assert link in manager.get(listed).content.decode()
    begins(newcomer)
    for answer in (manager.get(link), manager.post(link)):
        assert (answer.status_code, answer.url) == (302, listed)
    assert link not in manager.get(listed).content.decode()
    person = reverse("study-person", args=[site.study.code, newcomer.pk])
    assert "no password set yet" not in manager.get(person).content.decode()
    add = reverse("add-person", args=[site.here.pk])
    page = manager.post(add, NAMED | {"role": "site_coordinator"}, follow=True).content.decode()
    assert "is now Site coordinator at this centre." in page
    assert "/set-password/" not in page
    assert "letter" not in page


@pytest.mark.requirement("REQ-039")
@lives
def test_an_account_of_a_directory_is_not_invited(
    newcomer: User, begins: Callable[[User], None]
) -> None:
    begins(newcomer)
    assert sent() == []
    assert OutboxMessage.objects.get(topic="invitation").last_error == "NotNeeded"
    with pytest.raises(Problem, match="uses the account already"):
        people.invite_again(newcomer, by=TESTER)


@lives
def test_people_of_a_directory_ask_for_a_link_themselves(
    newcomer: User, begins: Callable[[User], None]
) -> None:
    """They need a password to sign. The link goes to their own mailbox."""
    begins(newcomer)
    ask_for_link(newcomer.email, by=Caller())
    [letter] = sent()
    assert letter.to == [newcomer.email]
    assert "/set-password/" in letter.body


@pytest.mark.requirement("REQ-018", "REQ-039")
def test_no_link_is_shown_of_a_person_who_has_another_study(
    manager: Client, newcomer: User
) -> None:
    elsewhere = a_centre(a_study(with_list=False), cover=0)
    link = reverse("person-link", args=[newcomer.centre_roles.get().pk])
    add_to_centre(elsewhere, Person(**NAMED), Role.PHARMACIST, by=TESTER)
    page = manager.get(link).content.decode()
    assert "/set-password/" not in page
    assert "also works in a study that you do not look after" in page
    manager.post(link)
    assert SignInEvent.objects.filter(user=newcomer, what=What.INVITED).count() == 3


@pytest.mark.requirement("REQ-015")
def test_the_page_says_when_no_letter_was_sent(
    site: SimpleNamespace, manager: Client, newcomer: User
) -> None:
    for _ in range(MOST_LETTERS - 1):
        people.invite_again(newcomer, by=TESTER)
    centre = reverse("add-person", args=[site.here.pk])
    study = reverse("add-study-person", args=[site.study.code])
    for add, role in ((centre, "site_coordinator"), (study, "monitor")):
        page = manager.post(add, NAMED | {"role": role}, follow=True).content.decode()
        assert "Inès Roy is now" in page
        assert "No letter was sent: 3 went to this person within an hour." in page
        assert "goes to" not in page
    assert SignInEvent.objects.filter(what=What.INVITED).count() == MOST_LETTERS
