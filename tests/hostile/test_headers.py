"""Every answer of both sites, of any kind and status, carries the headers that protect browsers."""

import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import clear_url_caches

from iwrs.accounts.models import Role
from tests.api.client import Edc
from tests.factories import a_study, a_user
from tests.hostile.walk import address_of, pages, signed_in
from tests.roles import as_unblinded

pytestmark = [pytest.mark.django_db, pytest.mark.requirement("REQ-077")]
WANTED = {
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains; preload",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@pytest.fixture(autouse=True)
def over_tls(settings: SimpleNamespace) -> None:
    """As in production; each new client reads these settings anew."""
    settings.SECURE_HSTS_SECONDS = 31_536_000
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = settings.SECURE_HSTS_PRELOAD = True
    settings.SECURE_SSL_REDIRECT = True


def assert_protected(answer: HttpResponse, where: str) -> None:
    for name, value in WANTED.items():
        assert answer.headers.get(name) == value, f"{where}: {name}"
    policy = answer.headers["Content-Security-Policy"]
    for directive in ("default-src 'self'", "object-src 'none'", "frame-ancestors 'none'"):
        assert directive in policy, f"{where}: {policy}"
    for directive in ("base-uri 'none'", "form-action 'self'"):
        assert directive in policy, f"{where}: {policy}"
    assert "unsafe" not in policy, where
    assert "camera=()" in answer.headers["Permissions-Policy"], where
    if not answer.streaming and "html" in answer.headers.get("Content-Type", ""):
        assert_nothing_inline(answer.content.decode(), where)


def assert_nothing_inline(page: str, where: str) -> None:
    assert not re.search(r"\s(style|on[a-z]+)=", page), where
    assert "<style" not in page, where
    for script in re.findall(r"<script[^>]*>", page):
        assert "src=" in script, f"{where}: {script}"
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page), where


def answers(browser: Any, address: str) -> Iterator[tuple[str, HttpResponse]]:
    """The answers of an address to a read, to an empty form and to a method that nothing takes."""
    for method in ("get", "post", "put"):
        yield f"{method} {address}", getattr(browser, method)(address, secure=True)


def test_every_page_of_the_portal(site: SimpleNamespace, addresses: list[tuple[str, str]]) -> None:
    statuses = set()
    people = (site.administrator, site.investigator)
    for browser in [Client(raise_request_exception=False), *map(signed_in, people)]:
        for name, address in addresses:
            if name == "sign-out":
                continue
            for where, answer in answers(browser, address):
                assert answer.status_code < 500, where
                assert_protected(answer, where)
                statuses.add(answer.status_code)
    assert statuses >= {200, 302, 403, 404, 405, 422}


def test_every_operation_of_the_api(site: SimpleNamespace) -> None:
    edc = Edc(site.study)
    headers = edc.headers(None)
    paths = list(edc.http.get("/api/v1/openapi.json", secure=True).json()["paths"])
    paths += ["/api/v1/docs/", "/api/v1/problems/", "/api/v1/problems/none", "/api/none"]
    for path in [*paths, "/api/oauth/token"]:
        address = path.replace("{number}", "0101-001").replace("{n}", "1")
        for method in ("get", "post", "delete"):
            for sent in (headers, {}):
                answer = getattr(edc.http, method)(address, headers=sent, secure=True)
                assert_protected(answer, f"{method} {address}")
                assert "no-store" in answer.headers["Cache-Control"], address


def test_files_errors_and_refused_requests(
    site: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = signed_in(site.administrator)
    found = {
        "file": browser.get("/static/iwrs.css", secure=True),
        "no file": browser.get("/static/none.css", secure=True),
        "not found": browser.get("/none/", secure=True),
        "health": browser.get("/health/", secure=True),
        "other host": browser.get("/", secure=True, headers={"host": "evil.example"}),
        "too large": browser.post("/", b"", "text/plain", CONTENT_LENGTH="99999999", secure=True),
        "nul": browser.get("/centres/?q=%00", secure=True),
    }

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr("trial.views.work_of", broken)
    found["failed"] = signed_in(site.investigator).get("/", secure=True)
    assert {name: answer.status_code for name, answer in found.items()} == {
        "file": 200,
        "no file": 404,
        "not found": 404,
        "health": 200,
        "other host": 400,
        "too large": 413,
        "nul": 400,
        "failed": 500,
    }
    for where, answer in found.items():
        assert_protected(answer, where)
    assert b"a secret" not in found["failed"].content


def test_without_tls_a_page_leads_to_tls(site: SimpleNamespace) -> None:
    answer = Client().get("/subjects/")
    assert (answer.status_code, answer.url) == (301, "https://testserver/subjects/")
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


def test_every_page_of_the_unblinded_site(db: None, settings: SimpleNamespace) -> None:
    settings.SIDE, settings.ROOT_URLCONF = "unblinded", "trial.urls_unblinded"
    clear_url_caches()
    study = a_study(with_list=False)
    seen = 0
    with as_unblinded():
        roles = (Role.UNBLINDED_STATISTICIAN, Role.SUPPLY_MANAGER, Role.UNBLINDED_AUDITOR)
        people = [a_user(role, study=study) for role in roles]
        known = {"pk": 1, "code": study.code, "who": "none", "token": "none"}
        known |= {"provider_id": "none", "number": 1}
        for browser in [Client(raise_request_exception=False), *map(signed_in, people)]:
            for page in pages():
                if page.name == "sign-out":
                    continue
                for where, answer in answers(browser, address_of(page, known)):
                    assert answer.status_code < 500, where
                    assert_protected(answer, where)
                    seen += 1
    clear_url_caches()
    assert seen > 80
