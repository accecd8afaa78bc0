"""Passkeys in a real browser with a virtual authenticator; and an app's code without JavaScript."""

import re
from collections.abc import Iterator

import pytest
from django.contrib.sessions.models import Session
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect

from iwrs.accounts.models import SignInEvent
from tests.browser.conftest import DESKTOP, PASSWORD, PHONE, code_of

VIRTUAL = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def page(chromium: Browser, portal) -> Iterator[Page]:
    context = chromium.new_context(viewport=DESKTOP, locale="en-GB", base_url=portal.address)
    yield context.new_page()
    context.close()


@pytest.fixture
def authenticator(page: Page):
    """The browser's own virtual authenticator; returns a function that sets what it does."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    made = devtools.send("WebAuthn.addVirtualAuthenticator", {"options": VIRTUAL})

    def turn(*, verified: bool) -> None:
        devtools.send(
            "WebAuthn.setUserVerified",
            {"authenticatorId": made["authenticatorId"], "isUserVerified": verified},
        )

    return turn


def type_password(page: Page, email: str) -> None:
    page.goto("/sign-in/")
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()


@pytest.mark.requirement("REQ-014")
def test_a_passkey_is_made_signs_in_alone_serves_as_second_step_and_is_removed(
    page: Page, authenticator, portal
) -> None:
    type_password(page, portal.investigator.email)
    page.get_by_role("heading", name="Home").wait_for()
    page.goto("/account/")
    page.get_by_role("link", name="Make a passkey").click()
    page.get_by_label("Name").fill("Work laptop")
    page.get_by_role("button", name="Make the passkey").click()
    page.get_by_role("heading", name="Recovery codes").wait_for()
    assert page.locator(".codes code").count() == 10
    page.goto("/account/")
    expect(page.get_by_text("Work laptop, made")).to_be_visible()
    sign_out(page)

    page.goto("/sign-in/?next=/subjects/")  # alone
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.get_by_role("heading", name="Subjects").wait_for()
    sign_out(page)

    type_password(page, portal.investigator.email)  # as the second step
    page.get_by_role("heading", name="Second step").wait_for()
    page.get_by_role("button", name="Use a passkey").click()
    page.get_by_role("heading", name="Home").wait_for()
    rows = SignInEvent.objects.filter(what="signed_in").order_by("pk")
    assert list(rows.values_list("method", flat=True)) == [
        "password",
        "passkey",
        "password and passkey",
    ]

    page.goto("/account/")
    page.get_by_role("link", name="Remove Work laptop").click()
    page.get_by_role("button", name="Remove the passkey").click()
    expect(page.get_by_text("The passkey is removed.")).to_be_visible()
    sign_out(page)
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_text("The passkey was not accepted.")).to_be_visible()


def test_a_device_that_does_not_know_its_person_signs_nobody_in(
    page: Page, authenticator, portal
) -> None:
    type_password(page, portal.investigator.email)
    page.get_by_role("heading", name="Home").wait_for()
    page.goto("/account/passkeys/new/")
    page.get_by_role("button", name="Make the passkey").click()
    page.get_by_role("heading", name="Recovery codes").wait_for()
    sign_out(page)
    authenticator(verified=False)
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_text("The passkey was not used.")).to_be_visible()
    page.goto("/")
    expect(page.get_by_role("heading", name="Sign in", exact=True)).to_be_visible()


def sign_out(page: Page) -> None:
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="Sign in", exact=True).wait_for()


@pytest.mark.requirement("REQ-014")
def test_an_app_is_set_up_and_used_on_a_phone_without_javascript(chromium: Browser, portal) -> None:
    context = chromium.new_context(
        viewport=PHONE, java_script_enabled=False, locale="en-GB", base_url=portal.address
    )
    page = context.new_page()
    type_password(page, portal.pharmacist.email)
    page.goto("/account/")
    page.get_by_role("link", name="Set up an app").click()
    picture = page.locator("img.qr")
    assert picture.evaluate("img => img.complete && img.naturalWidth > 50")
    secret = re.sub(r"\s", "", page.locator("ol code").inner_text())
    page.get_by_label("Code").fill(code_of(secret))
    page.get_by_role("button", name="Set up the app").click()
    page.get_by_role("heading", name="Recovery codes").wait_for()
    code = page.locator(".codes code").first.inner_text()
    page.get_by_role("button", name="Sign out").click()
    type_password(page, portal.pharmacist.email)
    page.get_by_role("heading", name="Second step").wait_for()
    assert page.get_by_role("button", name="Use a passkey").count() == 0
    page.get_by_label("Code").fill(code)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("heading", name="Home").wait_for()
    context.close()


@pytest.mark.requirement("REQ-022")
def test_a_warning_comes_before_the_end_and_nothing_typed_is_lost(page: Page, portal) -> None:
    page.clock.install()
    person = portal.study_manager
    type_password(page, person.email)
    page.get_by_role("heading", name="Home").wait_for()
    address = reverse("suspend-centre", args=[portal.here.pk])
    page.goto(address)
    page.get_by_label("Why is the centre suspended?").fill("The freezer failed on Sunday")
    page.clock.run_for(16 * 60 * 1000)
    assert page.get_by_role("alert").count() == 0
    page.clock.run_for(90 * 1000)
    expect(page.get_by_role("alert")).to_contain_text("You will be signed out in 2 min.")
    page.get_by_role("button", name="Stay signed in").click()
    page.wait_for_timeout(500)
    page.clock.run_for(2000)
    expect(page.get_by_role("alert")).to_have_count(0)
    page.clock.run_for(20 * 60 * 1000)
    expect(page.get_by_role("alert")).to_contain_text("You were signed out")
    Session.objects.all().delete()  # as the end of its time does

    page.locator("main form button[type=submit]").click()
    type_again(page, person.email)
    expect(page.get_by_text("What you typed here before is back.")).to_be_visible()
    expect(page.get_by_label("Why is the centre suspended?")).to_have_value(
        "The freezer failed on Sunday"
    )
    page.locator("main form button[type=submit]").click()
    page.wait_for_url(lambda url: address not in url)
    page.goto(address)
    assert page.evaluate("Object.keys(sessionStorage).filter(k => k.startsWith('draft'))") == []


def test_the_next_person_at_the_computer_finds_no_draft(page: Page, portal) -> None:
    type_password(page, portal.study_manager.email)
    page.get_by_role("heading", name="Home").wait_for()
    page.goto(reverse("suspend-centre", args=[portal.here.pk]))
    page.get_by_label("Why is the centre suspended?").fill("Mine alone")
    Session.objects.all().delete()
    type_password(page, portal.administrator.email)
    page.get_by_role("heading", name="Home").wait_for()
    assert "Mine alone" not in page.evaluate("JSON.stringify(sessionStorage)")


def type_again(page: Page, email: str) -> None:
    page.get_by_role("heading", name="Sign in", exact=True).wait_for()
    page.get_by_label("E-mail address").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
