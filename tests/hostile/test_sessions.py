"""Requests from elsewhere, and cookies that were guessed, changed, replayed or taken elsewhere."""

from types import SimpleNamespace

import pytest
from django.conf import settings as site_settings
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import clear_url_caches, reverse

from iwrs.accounts.models import Role
from tests.factories import a_study, a_user
from tests.hostile.walk import PASSWORD, address_of, pages, state_of_the_database
from tests.roles import as_unblinded

pytestmark = [pytest.mark.django_db, pytest.mark.requirement("REQ-076")]
COOKIE = site_settings.SESSION_COOKIE_NAME


def strict(user: object) -> Client:
    """A browser whose requests are checked for where they come from, as in production."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    return client


def is_signed_in(client: Client) -> bool:
    return client.get(reverse("home")).status_code == 200


def test_every_page_refuses_a_form_without_the_token(
    site: SimpleNamespace, addresses: list[tuple[str, str]]
) -> None:
    browser, before = strict(site.investigator), state_of_the_database()
    for name, address in addresses:
        answer = browser.post(address, {"why": "From elsewhere", "on": "2024-02-01"})
        assert answer.status_code == 403, name
        assert b"This form is too old." in answer.content, name
    assert len(addresses) > 30
    assert state_of_the_database() == before


def test_every_page_refuses_a_form_of_another_origin(
    site: SimpleNamespace, addresses: list[tuple[str, str]]
) -> None:
    browser, before = strict(site.investigator), state_of_the_database()
    browser.get(reverse("suspend-centre", args=[site.here.pk]))
    token = browser.get(reverse("screen", args=[site.here.pk])).context["csrf_token"]
    for origin in ("https://evil.example", "http://testserver.evil.example", "null"):
        for name, address in addresses:
            typed = {"csrfmiddlewaretoken": str(token)}
            answer = browser.post(address, typed, headers={"Origin": origin})
            assert answer.status_code == 403, f"{name} from {origin}"
    assert state_of_the_database() == before


def test_a_token_serves_its_own_browser_only(site: SimpleNamespace) -> None:
    mine, theirs = strict(site.investigator), strict(site.site_coordinator)
    address = reverse("screen-failure", args=[site.objects["subject"]])
    token = str(theirs.get(reverse("screen", args=[site.here.pk])).context["csrf_token"])
    mine.get(reverse("screen", args=[site.here.pk]))
    sent = mine.post(address, {"csrfmiddlewaretoken": token, "reason": "x"})
    assert sent.status_code == 403
    mine.cookies[site_settings.CSRF_COOKIE_NAME] = "a" * 32
    assert mine.post(address, {"csrfmiddlewaretoken": token, "reason": "x"}).status_code == 403


@pytest.mark.parametrize(
    "value",
    ["", "a", "a" * 32, "'; DROP TABLE django_session; --", '"\\000\\000aaaaaaaaaaaa"', "é" * 20],
)
def test_a_guessed_session_is_none(db: None, value: str) -> None:
    client = Client()
    client.cookies[COOKIE] = value
    assert client.get(reverse("home")).status_code in {302, 400}
    assert client.get("/api/v1/subjects").status_code in {400, 401}


def test_a_session_ends_with_signing_out_whoever_kept_its_cookie(site: SimpleNamespace) -> None:
    browser, thief = Client(), Client()
    browser.force_login(site.investigator)
    thief.cookies[COOKIE] = browser.cookies[COOKIE].value
    assert is_signed_in(thief)
    browser.post(reverse("sign-out"))
    assert not is_signed_in(thief)


def test_signing_in_gives_a_new_session(site: SimpleNamespace) -> None:
    """An address with a session that somebody chose beforehand is worth nothing."""
    browser = Client()
    chosen = SessionStore()
    chosen.create()
    browser.cookies[COOKIE] = chosen.session_key
    typed = {"email": site.investigator.email, "password": PASSWORD}
    assert browser.post(reverse("sign-in"), typed).status_code == 302
    assert browser.cookies[COOKIE].value != chosen.session_key
    thief = Client()
    thief.cookies[COOKIE] = chosen.session_key
    assert not is_signed_in(thief)


def test_a_changed_session_row_is_no_session(site: SimpleNamespace) -> None:
    browser = Client()
    browser.force_login(site.monitor)
    row = Session.objects.get(pk=browser.cookies[COOKIE].value)
    other = Client()
    other.force_login(site.administrator)
    theirs = Session.objects.get(pk=other.cookies[COOKIE].value).session_data
    payload, signature = row.session_data.rsplit(":", 1)
    other_end = "yy" if payload.endswith("xx") else "xx"  # a moment, so it may be either
    for forged in (
        f"{payload[:-2]}{other_end}:{signature}",
        f"{theirs.rsplit(':', 1)[0]}:{signature}",
    ):
        Session.objects.filter(pk=row.pk).update(session_data=forged)
        assert not is_signed_in(browser)


def test_a_session_signed_with_the_other_sides_key_is_none(
    site: SimpleNamespace, settings: SimpleNamespace
) -> None:
    browser = Client()
    browser.force_login(site.administrator)
    settings.SECRET_KEY = "the key of the other side 0123456789 0123456789"
    assert not is_signed_in(browser)


def test_a_session_of_the_unblinded_site_does_not_exist_on_this_one(site: SimpleNamespace) -> None:
    with as_unblinded():
        person = a_user(Role.UNBLINDED_STATISTICIAN, study=site.study)
        there = Client()
        there.force_login(person)
        assert Session.objects.filter(pk=there.cookies[COOKIE].value).exists()
    here = Client()
    here.cookies[COOKIE] = there.cookies[COOKIE].value
    assert not is_signed_in(here)


def test_a_session_of_this_site_does_not_exist_on_the_unblinded_one(
    site: SimpleNamespace, settings: SimpleNamespace
) -> None:
    here = Client()
    here.force_login(site.administrator)
    settings.SIDE, settings.ROOT_URLCONF = "unblinded", "trial.urls_unblinded"
    clear_url_caches()
    there = Client()
    there.cookies[COOKIE] = here.cookies[COOKIE].value
    with as_unblinded():
        assert there.get("/").status_code == 302
    clear_url_caches()


def test_the_unblinded_site_refuses_forms_without_the_token(
    db: None, settings: SimpleNamespace
) -> None:
    settings.SIDE, settings.ROOT_URLCONF = "unblinded", "trial.urls_unblinded"
    clear_url_caches()
    study = a_study(with_list=False)
    tried = 0
    with as_unblinded():
        browser = strict(a_user(Role.UNBLINDED_STATISTICIAN, study=study))
        before = state_of_the_database()
        known = {"pk": 1, "code": study.code, "who": "none", "token": "none"} | {
            "provider_id": "none",
            "number": 1,
        }
        for page in pages():
            answer = browser.post(address_of(page, known), {"why": "x"})
            assert answer.status_code == 403, page.name
            tried += 1
        assert state_of_the_database() == before
    clear_url_caches()
    assert tried > 10


def test_a_new_password_ends_the_sessions_of_the_old_one(site: SimpleNamespace) -> None:
    browser = Client()
    browser.force_login(site.investigator)
    site.investigator.set_password("another battery of staples")
    site.investigator.save()
    assert not is_signed_in(browser)


def test_cookies_are_closed_to_scripts_and_to_other_sites(site: SimpleNamespace) -> None:
    browser = Client()
    browser.force_login(site.investigator)
    answer = browser.get(reverse("screen", args=[site.here.pk]))
    for name in (site_settings.SESSION_COOKIE_NAME, site_settings.CSRF_COOKIE_NAME):
        cookie = answer.cookies[name]
        assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax"), name
        assert (cookie["path"], cookie["domain"]) == ("/", ""), name
