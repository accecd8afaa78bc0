"""A one-time link: out of the address at once, and out of every log line."""

import json
import logging

import pytest
from django.conf import settings as site_settings
from django.test import Client
from django.urls import reverse
from structlog.stdlib import ProcessorFormatter

from iwrs.accounts.models import User
from iwrs.accounts.services import password_link
from iwrs.logs import clean

NEW = "lantern orbit cedar mosaic"


@pytest.fixture
def newcomer(db: None) -> User:
    return User.objects.create_user("newcomer@example.org", name="Newcomer")


def secret_of(link: str) -> str:
    return link.strip("/").split("/")[-1]


@pytest.mark.requirement("REQ-015")
def test_the_link_leads_to_an_address_without_it(newcomer: User) -> None:
    link, browser = password_link(newcomer), Client()
    answer = browser.get(link)
    assert (answer.status_code, answer.url) == (302, reverse("choose-password"))
    assert "no-store" in answer.headers["Cache-Control"]
    page = browser.get(answer.url)
    assert newcomer.email in page.content.decode()
    assert secret_of(link) not in page.content.decode()
    assert browser.post(link, {"password": NEW, "again": NEW}).status_code == 405
    sent = browser.post(answer.url, {"password": NEW, "again": NEW})
    assert sent.url == reverse("sign-in")
    assert browser.get(answer.url).status_code == 410
    assert Client().get(answer.url).status_code == 410


def written_by(logger: str, text: str) -> str:
    """The line that the site's own formatter writes."""
    told = dict(site_settings.LOGGING["formatters"]["json"])
    formatter = told.pop("()")(**told)
    assert isinstance(formatter, ProcessorFormatter)
    return formatter.format(logging.LogRecord(logger, logging.INFO, "", 0, text, (), None))


def test_no_log_line_carries_the_link(newcomer: User) -> None:
    link = password_link(newcomer)
    line = written_by("django.request", f"Bad Request: {link}")
    assert json.loads(line)["event"] == "Bad Request: /set-password/[removed]/"
    assert secret_of(link) not in line


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("GET /set-password/Mg/abc-123/", "GET /set-password/[removed]/"),
        ("GET /set-password/Mg/abc-123?x=1", "GET /set-password/[removed]?x=1"),
        (
            "GET /back/?code=abc&state=xyz&page=2",
            "GET /back/?code=[removed]&state=[removed]&page=2",
        ),
        ("GET /subjects/?centre=12", "GET /subjects/?centre=12"),
        ("POST /set-password/", "POST /set-password/"),
    ],
)
def test_what_is_taken_out_of_a_line(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_the_requests_own_log_line_is_clean(
    newcomer: User, caplog: pytest.LogCaptureFixture
) -> None:
    link = password_link(newcomer)
    handler = logging.getLogger().handlers[0]
    with caplog.at_level(logging.INFO):
        Client().get(link)
    lines = [handler.format(each) for each in caplog.records]
    assert any("/set-password/[removed]/" in line for line in lines)
    assert not any(secret_of(link) in line for line in lines)
