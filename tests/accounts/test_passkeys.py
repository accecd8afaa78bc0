"""Passkeys: whatever is sent in place of one is a refusal, and nobody touches another's."""

import base64
import json

import pytest
from allauth.mfa.models import Authenticator
from django.test import Client
from django.urls import reverse

from iwrs.accounts.models import Role, SignInEvent, User
from tests.factories import a_centre, a_study, a_user

PASSWORD = "correct horse battery staple"
ACCEPTS = {"Accept": "application/json"}


@pytest.fixture
def person(db: None) -> User:
    return a_user(Role.INVESTIGATOR, centre=a_centre(a_study(with_list=False), cover=0))


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def forged(user: User, **response: object) -> str:
    """An answer of the right shape, of no authenticator."""
    told = {
        "clientDataJSON": _text(
            json.dumps(
                {"type": "webauthn.get", "challenge": "AAAA", "origin": "http://testserver"}
            ).encode()
        ),
        "authenticatorData": _text(b"\0" * 37),
        "signature": _text(b"\0" * 64),
        "userHandle": _text(str(user.pk).encode()),
    }
    return json.dumps(
        {
            "id": "AAAA",
            "rawId": "AAAA",
            "type": "public-key",
            "response": told | response,
            "clientExtensionResults": {},
        }
    )


def hostile(user: User) -> list[str]:
    return [
        "",
        "null",
        "[]",
        "1e999",
        '"text"',
        "{",
        "[" * 5000,
        "{}",
        '{"response": {}}',
        '{"response": []}',
        '{"response": {"userHandle": 1}}',
        '{"response": {"userHandle": "%s"}}' % ("A" * 3000),
        '{"id": "a", "rawId": "b", "response": {"userHandle": "MQ"}}',
        '{"rawId": "\\u0000", "response": {"clientDataJSON": "AAAA"}}',
        forged(user),
        forged(user, userHandle=_text(b"99999999999999999999999")),
        forged(user, userHandle=_text(b"\xff\xfe")),
        forged(user, clientDataJSON="AAAA"),
        forged(user, authenticatorData="A"),
    ]


def test_what_is_no_passkey_signs_nobody_in(person: User) -> None:
    for credential in hostile(person):
        browser = Client()
        options = browser.get(reverse("mfa_login_webauthn"), headers=ACCEPTS).json()
        assert options["request_options"]["publicKey"]["userVerification"] == "required"
        answer = browser.post(reverse("mfa_login_webauthn"), {"credential": credential})
        assert answer.url == reverse("sign-in"), credential[:60]
        assert browser.get(reverse("home")).status_code == 302
    assert not SignInEvent.objects.filter(what="signed_in").exists()


def test_what_is_no_passkey_is_not_kept(person: User) -> None:
    browser = Client()
    browser.post(reverse("sign-in"), {"email": person.email, "password": PASSWORD})
    assert browser.get(reverse("mfa_add_webauthn")).status_code == 200
    for credential in hostile(person):
        typed = {"name": "Mine", "credential": credential}
        answer = browser.post(reverse("mfa_add_webauthn"), typed)
        assert answer.status_code == 422, credential[:60]
    assert not Authenticator.objects.exists()


def test_anothers_passkey_does_not_exist(person: User) -> None:
    other = a_user(Role.MONITOR)
    theirs = Authenticator.objects.create(user=other, type="webauthn", data={"name": "Theirs"})
    browser = Client()
    browser.post(reverse("sign-in"), {"email": person.email, "password": PASSWORD})
    address = reverse("mfa_remove_webauthn", args=[theirs.pk])
    assert browser.get(address).status_code == 404
    assert browser.post(address).status_code == 404
    assert Authenticator.objects.filter(pk=theirs.pk).exists()
