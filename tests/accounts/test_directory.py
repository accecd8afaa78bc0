"""Signing in through a directory: real requests to a real provider, with really signed tokens."""

import time
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, build_opener

import pytest
from allauth.socialaccount.models import SocialAccount
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import Client
from django.urls import reverse

from iwrs.accounts.directory import REFUSED
from iwrs.accounts.models import Role, SignInEvent, User
from iwrs.accounts.services import account_of_link, password_link
from tests.accounts import oidc_provider
from tests.accounts.oidc_provider import CLIENT, SECRET, Provider
from tests.factories import a_study, a_user
from tests.roles import as_unblinded

What = SignInEvent.What


@pytest.fixture
def provider(settings) -> Iterator[Provider]:
    with oidc_provider.running() as made:
        settings.DIRECTORY = "Sponsor directory"
        settings.DIRECTORY_DOMAINS = {"example.org"}
        settings.SOCIALACCOUNT_PROVIDERS = {
            "openid_connect": {
                "OAUTH_PKCE_ENABLED": True,
                "APPS": [
                    {
                        "provider_id": "directory",
                        "name": "Sponsor directory",
                        "client_id": CLIENT,
                        "secret": SECRET,
                        "settings": {"server_url": made.address, "fetch_userinfo": False},
                    }
                ],
            }
        }
        yield made


@pytest.fixture
def person(db: None, provider: Provider) -> User:
    user = a_user(Role.MONITOR, study=a_study(with_list=False))
    provider.claims = {"sub": "42", "email": user.email, "email_verified": True}
    return user


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, *args: object, **kwargs: object) -> None:
        return None


def at_the_directory(address: str) -> str:
    """Go there as a browser does; the address that it sends the browser back to."""
    try:
        build_opener(_Stay).open(address)
    except HTTPError as answer:
        return answer.headers["Location"].removeprefix("http://testserver")
    raise AssertionError("the directory did not send the browser back")


def through(browser: Client, onward: str = "") -> str:
    """Sign in through the directory; where the browser ends."""
    begun = browser.get(reverse("openid_connect_login", args=["directory"]), {"next": onward})
    assert begun.status_code == 302
    return browser.get(at_the_directory(begun.url)).url


def is_in(browser: Client) -> bool:
    return browser.get(reverse("home")).status_code == 200


@pytest.mark.requirement("REQ-039")
def test_a_person_with_an_account_is_linked_and_signed_in(person: User, provider) -> None:
    page = Client().get(reverse("sign-in")).content.decode()
    assert reverse("openid_connect_login", args=["directory"]) in page
    assert "Sign in with Sponsor directory" in page
    browser = Client()
    assert through(browser, reverse("centres")) == reverse("centres")
    assert is_in(browser)
    assert "/keys" in provider.asked  # the signature was checked
    linked = SocialAccount.objects.get()
    assert (linked.user, linked.uid) == (person, "42")
    provider.claims |= {"email": "renamed@elsewhere.example"}
    again = Client()
    through(again)
    assert is_in(again)  # the directory's own key counts from now on, not the address
    rows = SignInEvent.objects.filter(user=person).order_by("pk")
    assert [(row.what, row.method) for row in rows] == [
        (What.LINKED, "directory"),
        (What.SIGNED_IN, "directory"),
        (What.SIGNED_IN, "directory"),
    ]


@pytest.mark.requirement("REQ-039")
def test_a_link_that_was_read_before_the_first_sign_in_ends_with_it(person: User) -> None:
    person.set_unusable_password()
    person.save()
    who, token = password_link(person).strip("/").split("/")[-2:]
    assert account_of_link(who, token) == person
    through(Client())
    assert account_of_link(who, token) is None


@pytest.mark.parametrize(
    "claims",
    [
        {"email": "nobody@example.org"},
        {"email": "nobody@elsewhere.example"},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email": ""},
        {"email": None},
        {"email": ["a@example.org"]},
        {"email": "a\0@example.org"},
    ],
)
def test_nobody_else_gets_in_and_no_account_is_made(person: User, provider, claims) -> None:
    provider.claims |= claims
    before, browser = User.objects.count(), Client()
    assert through(browser) == reverse("sign-in")
    assert REFUSED in browser.get(reverse("sign-in")).content.decode().replace("&#x27;", "'")
    assert not is_in(browser)
    assert (User.objects.count(), SocialAccount.objects.count()) == (before, 0)
    assert SignInEvent.objects.get().what == What.REFUSED


def test_a_directory_does_not_speak_for_other_organizations(person: User, settings) -> None:
    settings.DIRECTORY_DOMAINS = {"sponsor.example"}
    browser = Client()
    through(browser)
    assert not is_in(browser)
    assert not SocialAccount.objects.exists()


def test_an_ended_or_locked_account_stays_closed(person: User) -> None:
    through(Client())
    User.objects.filter(pk=person.pk).update(is_active=False)
    browser = Client()
    assert through(browser) == reverse("sign-in")
    assert not is_in(browser)


@pytest.mark.parametrize("forged", ["key", "none", "secret", "issuer", "audience", "old"])
def test_a_forged_token_signs_nobody_in(person: User, provider: Provider, forged: str) -> None:
    if forged == "key":
        provider.signs_with = rsa.generate_private_key(65537, 2048)
    elif forged == "none":
        provider.signs_with, provider.algorithm = "", "none"
    elif forged == "secret":
        provider.signs_with, provider.algorithm = SECRET * 3, "HS256"
    else:
        wrong = {"issuer": ("iss", "x"), "audience": ("aud", "x"), "old": ("exp", time.time() - 9)}
        name, value = wrong[forged]
        provider.claims[name] = value
    browser = Client()
    assert through(browser) == reverse("sign-in")
    assert not is_in(browser)
    assert not SocialAccount.objects.exists()


def test_an_answer_that_this_browser_did_not_ask_for_is_refused(person: User) -> None:
    """Login CSRF: somebody else's code, with somebody else's state."""
    begun = Client().get(reverse("openid_connect_login", args=["directory"]))
    answer = at_the_directory(begun.url)
    victim = Client()
    assert victim.get(answer).url == reverse("sign-in")
    assert not is_in(victim)


def test_a_signed_in_person_cannot_link_another_identity(person: User) -> None:
    browser = Client()
    browser.force_login(person)
    address = reverse("openid_connect_login", args=["directory"])
    begun = browser.get(address, {"process": "connect"})
    browser.get(at_the_directory(begun.url))
    assert not SocialAccount.objects.exists()


def test_a_directory_that_is_not_there_is_a_refusal(person: User, settings) -> None:
    providers = settings.SOCIALACCOUNT_PROVIDERS
    providers["openid_connect"]["APPS"][0]["settings"]["server_url"] = "http://127.0.0.1:1"
    answer = Client().get(reverse("openid_connect_login", args=["directory"]))
    assert answer.url == reverse("sign-in")


def test_without_a_directory_there_is_none(db: None) -> None:
    for name in ("openid_connect_login", "openid_connect_callback"):
        assert Client().get(reverse(name, args=["directory"])).status_code == 404
    assert "directory" not in Client().get(reverse("sign-in")).content.decode()


def test_unblinded_people_are_linked_in_their_own_schema(provider, db, settings) -> None:
    study = a_study(with_list=False)
    settings.SIDE = "unblinded"
    with as_unblinded():
        user = a_user(Role.SUPPLY_MANAGER, study=study)
        provider.claims = {"sub": "7", "email": user.email, "email_verified": True}
        through(Client())
        assert SocialAccount.objects.get().user == user
    assert not SocialAccount.objects.exists()
