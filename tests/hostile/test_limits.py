"""Too much, too many, too deep, unreadable: refused in words, before anything is kept of it."""

import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from django.conf import settings as site_settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from iwrs.accounts.models import Role, User
from iwrs.models import Study
from tests.api.client import Edc
from tests.api.server import running
from tests.factories import a_study
from tests.hostile.walk import signed_in, state_of_the_database
from tests.roles import Logins, as_unblinded
from tests.unblinded_site.conftest import (  # noqa: F401
    Browser,
    person,
    study,
    unblinded_side,
)

pytestmark = pytest.mark.requirement("REQ-075")
MOST = site_settings.REQUEST_MAX_BYTES
MOST_UNBLINDED = 9 * 2**20  # of the unblinded site, which takes files of kits and lists


@pytest.mark.django_db
def test_a_page_refuses_a_large_body(site: SimpleNamespace) -> None:
    browser, before = signed_in(site.investigator), state_of_the_database()
    address = reverse("screen-failure", args=[site.objects["subject"]])
    for typed in (
        {"reason": "x" * (MOST + 1)},
        {"file": SimpleUploadedFile("kits.csv", b"x" * (MOST + 1))},
        {f"field{n}": "x" for n in range(site_settings.DATA_UPLOAD_MAX_NUMBER_FIELDS + 1)},
        {f"file{n}": SimpleUploadedFile("a.csv", b"x") for n in range(6)},
    ):
        answer = browser.post(address, typed)
        assert answer.status_code == 413
        assert b"This is too much for one request." in answer.content
    assert state_of_the_database() == before


@pytest.mark.django_db
def test_signing_in_takes_no_large_file_from_a_stranger(site: SimpleNamespace) -> None:
    """Anybody could fill the disk else: Django stores files before a page is asked."""
    file = SimpleUploadedFile("x.csv", b"x" * (MOST + 1))
    assert Client().post(reverse("sign-in"), {"file": file}).status_code == 413


@pytest.mark.django_db
@pytest.mark.parametrize("length", ["abc", "-1", "1e9", "٣", " 12 34"])
def test_a_length_that_is_no_number_is_unreadable(length: str) -> None:
    client = Client(raise_request_exception=False)
    page = client.post("/sign-in/", b"", "text/plain", CONTENT_LENGTH=length)
    assert page.status_code == 400
    document = client.post("/api/v1/subjects", b"", "application/json", CONTENT_LENGTH=length)
    assert (document.status_code, document.json()["code"]) == (400, "malformed")


@pytest.mark.django_db
def test_the_api_refuses_what_is_too_large_too_deep_or_unreadable(site: SimpleNamespace) -> None:
    edc = Edc(site.study)
    before = state_of_the_database()
    deep = b'{"strata": ' * 50_000 + b"1" + b"}" * 50_000
    for raw, kind, code in [
        (b"{}" + b" " * MOST, "application/json", "too_large"),
        (deep, "application/json", "malformed"),
        (b'{"centre": "\xff\xfe"}', "application/json", "malformed"),
        (b'{"a": 1, "a": 2}', "application/json", "malformed"),
        (b'{"a": ' + b"9" * 5000 + b"}", "application/json", "malformed"),
        (b"{}", "text/plain", "unsupported_media_type"),
        (b"a=1", "application/x-www-form-urlencoded", "unsupported_media_type"),
        (b"{}", "multipart/form-data", "unsupported_media_type"),
        (b"<a/>", "application/xml", "unsupported_media_type"),
    ]:
        answer = edc.http.post("/api/v1/subjects", raw, kind, headers=edc.headers(None))
        assert answer["Content-Type"] == "application/problem+json", raw[:20]
        assert answer.json()["code"] == code, raw[:20]
    assert state_of_the_database() == before


@pytest.mark.django_db
def test_the_token_address_survives_any_client(site: SimpleNamespace) -> None:
    http = Client(raise_request_exception=False)
    for client in ("\x00", "a\x00b", "'; --", "{{7*7}}", "x" * 5000, "\u202e"):
        typed = {"grant_type": "client_credentials", "client_id": client, "client_secret": client}
        answer = http.post("/api/oauth/token", typed)
        assert answer.status_code in {400, 401}, repr(client)[:40]
    for grant in ("\x00", "password", "implicit", "authorization_code", ""):
        answer = http.post("/api/oauth/token", {"grant_type": grant, "client_id": "x"})
        assert answer.status_code in {400, 401}, repr(grant)
    large = http.post("/api/oauth/token", {"client_id": "x" * (MOST + 1)})
    assert (large.status_code, large.json()["code"]) == (413, "too_large")
    many = http.post("/api/oauth/token", {f"f{n}": "x" for n in range(400)})
    assert (many.status_code, many.json()["code"]) == (413, "too_large")


@pytest.mark.django_db
def test_a_token_counts_in_the_header_only(site: SimpleNamespace) -> None:
    """Addresses are logged and kept in histories; RFC 9700, 4.3.2."""
    edc = Edc(site.study)
    assert edc.http.get("/api/v1/subjects", {"access_token": edc.token}).status_code == 401
    assert edc.get("subjects").status_code == 200


@pytest.mark.django_db
def test_a_field_sent_twice_counts_once(site: SimpleNamespace) -> None:
    browser = signed_in(site.study_manager)
    address = reverse("suspend-centre", args=[site.here.pk])
    assert browser.post(address, {"why": ["First", "Second"]}).status_code == 302
    site.here.refresh_from_db()
    assert site.here.status == "suspended"


@pytest.mark.django_db
@pytest.mark.parametrize("number", ["0", "-1", "9" * 19, "9" * 400, "1e3", "٣", "%00", "1%20"])
def test_absurd_numbers_in_addresses_are_not_found(site: SimpleNamespace, number: str) -> None:
    browser = signed_in(site.investigator)
    for start in ("subjects", "centres", "code-breaks", "visits", "deviations"):
        assert browser.get(f"/{start}/{number}/").status_code in {400, 404}, start
        assert browser.post(f"/{start}/{number}/record/", {}).status_code in {400, 404}, start


def test_a_real_server_refuses_before_the_body_is_sent(
    committed_db: None, logins: Logins, tmp_path: Path
) -> None:
    """The answer comes while the body is still outside: nothing of ten gigabytes is read."""
    a_study(with_list=False)
    with running(logins.url("blinded"), tmp_path / "log") as url:
        host, port = str(urlsplit(url).hostname), int(urlsplit(url).port or 0)
        for path, status in (("/sign-in/", b" 413 "), ("/api/v1/subjects", b" 413 ")):
            with socket.create_connection((host, port), timeout=20) as line:
                line.sendall(
                    f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {10 * 2**30}\r\n\r\n".encode()
                    + b"{"
                )
                assert status in line.recv(4096).split(b"\r\n")[0], path
        with socket.create_connection((host, port), timeout=20) as line:
            head = "POST /api/v1/subjects HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n"
            line.sendall(f"{head}Content-Type: application/json\r\n\r\n{{}}".encode())
            assert b" 401 " in line.recv(4096).split(b"\r\n")[0]


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("import-kits", Role.SUPPLY_MANAGER),
        ("import-list", Role.UNBLINDED_STATISTICIAN),
    ],
)
def test_the_unblinded_site_refuses_a_large_body(
    study: Study,  # noqa: F811
    person: Callable[[Role], User],  # noqa: F811
    settings: SimpleNamespace,
    name: str,
    role: Role,
) -> None:
    settings.REQUEST_MAX_BYTES = MOST_UNBLINDED  # these tests run with those of the blinded site
    browser = Browser(person(role))
    address = reverse(name, args=[study.code])
    with as_unblinded():
        before = state_of_the_database()
    for typed in (
        {"file": SimpleUploadedFile("a.csv", b"x" * (MOST_UNBLINDED + 1))},
        {"names": "x" * (site_settings.DATA_UPLOAD_MAX_MEMORY_SIZE + 1)},
        {f"field{n}": "x" for n in range(site_settings.DATA_UPLOAD_MAX_NUMBER_FIELDS + 1)},
        {f"file{n}": SimpleUploadedFile("a.csv", b"x") for n in range(6)},
    ):
        answer = browser.post(address, **typed)
        assert answer.status_code == 413
        assert b"This is too much for one request." in answer.content
    # A file that the site lets in, and that is no table of kits or places.
    taken = SimpleUploadedFile("a.csv", b"x" * (MOST_UNBLINDED - 2**16))
    assert browser.post(address, file=taken).status_code == 422
    with as_unblinded():
        assert state_of_the_database() == before


def test_a_real_unblinded_server_takes_a_file_and_no_more(
    committed_db: None, logins: Logins, tmp_path: Path
) -> None:
    """Its own limit, from its own settings, and before the body is sent."""
    a_study(with_list=False)
    with running(logins.url("unblinded"), tmp_path / "log", side="unblinded") as url:
        host, port = str(urlsplit(url).hostname), int(urlsplit(url).port or 0)
        # The second is let in, and then lacks the token of the form.
        for length, status in ((MOST_UNBLINDED + 1, b" 413 "), (MOST_UNBLINDED, b" 403 ")):
            with socket.create_connection((host, port), timeout=20) as line:
                line.sendall(
                    b"POST /sign-in/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
                    + f"Content-Length: {length}\r\n\r\nx".encode()
                )
                assert status in line.recv(4096).split(b"\r\n")[0], length
