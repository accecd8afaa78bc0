"""In an emergency: from sign-in to the treatment in a minute, also where no script runs."""

import time
from pathlib import Path
from urllib.request import urlopen

import pytest
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from playwright.sync_api import Page, expect

from enrolment.models import CodeBreakDrill
from iwrs.accounts.models import Role, SignInEvent
from tests.browser.conftest import DESKTOP, PHONE
from tests.factories import a_centre, a_randomized_subject, a_subject, a_user, arm_of
from tests.signing import PASSWORD

MOST_SECONDS = 60
MOST_PAGES = 5  # after signing in: search, subject, request, read-back, treatment


def fill_request(page: Page, person, number: str) -> None:
    page.get_by_label("Medical emergency").check()
    page.get_by_label("Why must the treatment be known?").fill("Severe reaction on 3 May")
    page.get_by_label("Type the number of the subject").fill(number)
    page.get_by_label("Your e-mail address").fill(person.email)
    page.get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Sign the request").click()


@pytest.fixture
def required(monkeypatch: pytest.MonkeyPatch) -> None:
    """The web process asks for second factors, as in production. Ask for it before `portal`."""
    monkeypatch.setenv("IWRS_SECOND_FACTOR", "required")


@pytest.mark.requirement("REQ-049")
@pytest.mark.usefixtures("required")
@pytest.mark.parametrize("role", [Role.INVESTIGATOR, Role.SAFETY_PHYSICIAN])
def test_from_sign_in_to_the_treatment_without_javascript(portal, visit, tmp_path: Path, role):
    """Password, the app's code, and the signature are all typed in that time."""
    person, secret = getattr(portal, role), generate_totp_secret()
    TOTP.activate(person, secret)
    with urlopen(f"{portal.address}/sign-in/") as door:
        assert b"no second factor is asked for" not in door.read()
    for _ in range(3):
        a_subject(portal.here)
    subject = a_randomized_subject(portal.here)
    arms = {arm.code: arm.label for arm in portal.study.definition.arms}
    began = time.monotonic()
    page = visit(person, viewport=PHONE, java_script=False, secret=secret)
    seen: list[str] = []
    page.on("framenavigated", lambda frame: seen.append(frame.url))
    page.get_by_role("link", name="Subjects", exact=True).click()
    page.get_by_role("link", name=subject.number).click()
    page.get_by_role("link", name="Break the code").click()
    page.screenshot(path=tmp_path / "1-request.png", full_page=True)
    fill_request(page, person, subject.number)
    page.screenshot(path=tmp_path / "2-read-back.png", full_page=True)
    page.get_by_role("button", name="Show the treatment once").click()
    expect(page.locator("p.answer")).to_have_text(arms[arm_of(subject)])
    taken = time.monotonic() - began
    page.screenshot(path=tmp_path / "3-treatment.png", full_page=True)
    assert taken < MOST_SECONDS
    assert len(seen) <= MOST_PAGES, seen
    signed_in = SignInEvent.objects.get(what=SignInEvent.What.SIGNED_IN)
    assert (signed_in.user, signed_in.method) == (person, "password and app")


@pytest.mark.requirement("REQ-050")
def test_a_drill_at_a_new_centre_without_javascript(portal, visit, tmp_path: Path):
    centre = a_centre(portal.study, active=False, cover=0)
    person = a_user(Role.INVESTIGATOR, centre=centre)
    page = visit(person, viewport=DESKTOP, java_script=False)
    page.get_by_role("link", name="Centres", exact=True).click()
    page.get_by_role("link", name=str(centre)).click()
    page.get_by_role("link", name="Practise a code break").click()
    page.screenshot(path=tmp_path / "1-start.png", full_page=True)
    page.get_by_role("button", name="Start the drill").click()
    page.screenshot(path=tmp_path / "2-request.png", full_page=True)
    fill_request(page, person, f"{centre.number}-000")
    expect(page.locator("p.drill")).to_contain_text("DRILL")
    page.screenshot(path=tmp_path / "3-read-back.png", full_page=True)
    page.get_by_role("button", name="Show the treatment once").click()
    expect(page.locator("p.answer")).to_contain_text("DRILL")
    page.screenshot(path=tmp_path / "4-treatment.png", full_page=True)
    drill = CodeBreakDrill.objects.get(centre=centre)
    assert drill.done_by == str(person)
    page.get_by_role("link", name="Go to the centre").click()
    expect(page.locator(".facts")).to_contain_text(person.name)
