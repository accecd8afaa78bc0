"""A real browser on a real web process, which holds the blinded login and nothing more."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import Browser, BrowserContext, Page, expect

from iwrs.accounts.models import User
from tests.api.server import running
from tests.portal.conftest import a_site
from tests.roles import Logins

PASSWORD = "correct horse battery staple"
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 900}
# Five seconds by default, which a page that checks a password may take on a busy machine.
expect.set_options(timeout=30_000)


def code_of(secret: str) -> str:
    """What an app with this secret shows now."""
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30))


@pytest.fixture
def portal(committed_db: None, logins: Logins, tmp_path: Path) -> Iterator[SimpleNamespace]:
    """A small study and the address of a portal that serves it."""
    made = a_site()
    with running(logins.url("blinded"), tmp_path / "web.log") as address:
        made.address = address.replace("127.0.0.1", "localhost")
        yield made


@pytest.fixture
def visit(chromium: Browser, portal: SimpleNamespace) -> Iterator[Callable[..., Page]]:
    """Open the portal as a person: `visit(user, viewport=PHONE, java_script=False)`, with the
    secret of the person's app when there is one.
    """
    opened: list[BrowserContext] = []

    def as_person(
        user: User, *, viewport: dict[str, int], java_script: bool = True, secret: str = ""
    ) -> Page:
        context = chromium.new_context(
            viewport=viewport,
            java_script_enabled=java_script,
            locale="en-GB",
            base_url=portal.address,
        )
        opened.append(context)
        page = context.new_page()
        page.goto("/")
        page.get_by_label("E-mail address").fill(user.email)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in", exact=True).click()
        if secret:
            page.get_by_role("heading", name="Second step").wait_for()
            page.get_by_label("Code").fill(code_of(secret))
            page.get_by_role("button", name="Sign in", exact=True).click()
        page.get_by_role("heading", name="Home").wait_for()
        return page

    yield as_person
    for context in opened:
        context.close()
