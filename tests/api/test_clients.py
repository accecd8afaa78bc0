"""Who may call: tokens, scopes, one study each, and the command that registers a client."""

import base64
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from oauth2_provider.models import AccessToken

from iwrs.accounts.models import Role
from iwrs.models import EdcClient, Study
from tests import factories
from tests.api.client import ALL_SCOPES, SECRET, Edc, register, screening_body
from tests.api.test_refusals import assert_problem

pytestmark = pytest.mark.django_db


@pytest.fixture
def study() -> Study:
    return factories.a_study(with_list=False)


def ask(client: EdcClient, secret: str = SECRET, **form: str) -> Any:
    basic = base64.b64encode(f"{client.client_id}:{secret}".encode()).decode()
    return Client().post(
        "/api/oauth/token",
        {"grant_type": "client_credentials"} | form,
        headers={"Authorization": f"Basic {basic}"},
    )


def test_a_client_gets_all_its_scopes_unless_it_asks_for_fewer(study: Study) -> None:
    client = register(study, ("subjects:read", "subjects:screen"))
    assert ask(client).json()["scope"] == "subjects:read subjects:screen"
    answer = ask(client, scope="subjects:read").json()
    assert answer["scope"] == "subjects:read"
    assert answer["token_type"] == "Bearer"
    assert answer["expires_in"] == 900
    listed = Client().get(
        "/api/v1/centres", headers={"Authorization": f"Bearer {answer['access_token']}"}
    )
    assert listed.json() == {"next": None, "results": []}


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"scope": "subjects:randomize"}, "invalid_scope"),
        ({"scope": "subjects:read code:break"}, "invalid_scope"),
        ({"grant_type": "password", "username": "a", "password": "b"}, "unsupported_grant_type"),
        ({"grant_type": "authorization_code", "code": "x"}, "unsupported_grant_type"),
    ],
)
def test_a_client_gets_nothing_else(study: Study, form: dict[str, str], error: str) -> None:
    answer = ask(register(study, ("subjects:read",)), **form)
    assert answer.status_code in {400, 401}
    assert not AccessToken.objects.exists()
    assert answer.json()["error"] == error


def test_a_wrong_secret(study: Study) -> None:
    answer = ask(register(study), secret="guess")
    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_client"


@pytest.mark.requirement("REQ-014")
def test_secrets_and_tokens_are_stored_as_hashes(study: Study) -> None:
    client = register(study)
    token = ask(client).json()["access_token"]
    client.refresh_from_db()
    assert client.client_secret.startswith("argon2")
    assert AccessToken.objects.get().token == ""
    assert token not in str(AccessToken.objects.values())


@pytest.mark.requirement("REQ-010")
def test_without_a_token_or_with_a_bad_one(study: Study) -> None:
    edc = Edc(study)
    nobody = edc.http.get("/api/v1/centres")
    assert_problem(nobody, "not_authenticated")
    assert nobody["WWW-Authenticate"].startswith("Bearer")
    guessed = edc.http.get("/api/v1/centres", headers={"Authorization": "Bearer guess"})
    assert_problem(guessed, "invalid_token")
    old = Edc(study, lives=timedelta(seconds=-1)).get("centres")
    assert_problem(old, "invalid_token")
    assert "expired" in old["WWW-Authenticate"]


SCOPES = [
    ("get", "centres", "subjects:read"),
    ("get", "subjects", "subjects:read"),
    ("get", "subjects/{}", "subjects:read"),
    ("get", "subjects/{}/randomization", "subjects:read"),
    ("get", "subjects/{}/visits", "subjects:read"),
    ("get", "subjects/{}/dispensations", "subjects:read"),
    ("post", "subjects", "subjects:screen"),
    ("post", "subjects/{}/screen-failure", "subjects:screen"),
    ("post", "subjects/{}/randomization", "subjects:randomize"),
    ("post", "subjects/{}/dispensations/0/assignment", "kits:dispense"),
    ("post", "subjects/{}/dispensations/0/hand-over", "kits:dispense"),
    ("post", "subjects/{}/first-dose", "kits:dispense"),
    ("post", "subjects/{}/dose-reductions", "kits:dispense"),
    ("post", "subjects/{}/drug-stops", "kits:dispense"),
    ("post", "subjects/{}/visits/1/report", "assessments:report"),
    ("post", "subjects/{}/visits/1/missed", "assessments:report"),
    ("post", "subjects/{}/reads", "assessments:report"),
    ("post", "subjects/{}/events", "assessments:report"),
    ("post", "subjects/{}/contacts", "assessments:report"),
]


@pytest.mark.requirement("REQ-011")
@pytest.mark.parametrize(("method", "path", "scope"), SCOPES)
def test_each_operation_needs_its_own_scope(
    study: Study, method: str, path: str, scope: str
) -> None:
    others = tuple(each for each in ALL_SCOPES if each != scope)
    answer = getattr(Edc(study, others), method)(path.format("0101-001"))
    document = assert_problem(answer, "insufficient_scope")
    assert scope in document["detail"]
    assert f'scope="{scope}"' in answer["WWW-Authenticate"]
    allowed = getattr(Edc(study, (scope,)), method)(path.format("0101-001"))
    assert allowed.status_code not in {401, 403}


@pytest.mark.requirement("REQ-019")
def test_a_scope_taken_from_a_client_is_gone_at_once(study: Study) -> None:
    edc = Edc(study)
    assert edc.get("centres").status_code == 200
    call_command("edc_client", "scopes", "--id", edc.registered.client_id, "--scopes")
    assert_problem(edc.get("centres"), "insufficient_scope")


@pytest.mark.requirement("REQ-013")
def test_a_client_sees_its_own_study_only() -> None:
    ours, theirs = factories.a_study(), factories.a_study()
    centre = factories.a_centre(theirs)
    number = factories.a_randomized_subject(centre).number
    edc = Edc(ours)
    for method, path, _ in SCOPES[2:6] + SCOPES[7:]:
        if method == "get":
            assert_problem(edc.get(path.format(number)), "not_found")
        else:
            answer = edc.post(path.format(number), {"on": "2020-01-01"}, key=path)
            assert_problem(answer, "not_found")
    assert edc.get("subjects").json()["results"] == []
    assert edc.get("centres").json()["results"] == []
    screened = edc.post("subjects", screening_body(centre))
    assert set(assert_problem(screened, "invalid")["errors"]) == {"centre"}


def test_two_clients_may_use_the_same_key(study: Study) -> None:
    centre = factories.a_centre(study, cover=0)
    body = screening_body(centre)
    first = Edc(study).post("subjects", body, key="one").json()
    second = Edc(study).post("subjects", body, key="one").json()
    assert first["number"] != second["number"]


def test_the_command_registers_a_client_that_can_sign_in(study: Study) -> None:
    out = StringIO()
    call_command(
        *("edc_client", "create", "--study", study.code, "--name", "Rave"),
        *("--scopes", "subjects:read", "subjects:screen"),
        stdout=out,
        stderr=StringIO(),
    )
    printed = dict(line.split("=", 1) for line in out.getvalue().split())
    client = EdcClient.objects.get(client_id=printed["client_id"])
    answer = ask(client, secret=printed["client_secret"])
    assert answer.json()["scope"] == "subjects:read subjects:screen"
    listed = StringIO()
    call_command("edc_client", "list", "--study", study.code, stdout=listed)
    assert client.client_id in listed.getvalue()
    assert printed["client_secret"] not in listed.getvalue()


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "--study", "nowhere", "--name", "Rave", "--scopes", "subjects:read"),
        ("create", "--study", "{}", "--name", "Rave", "--scopes", "everything"),
        ("create", "--study", "{}", "--name", " ", "--scopes", "subjects:read"),
        # "EDC client " and the name have to fit where it is kept who recorded something.
        ("create", "--study", "{}", "--name", "R" * 190, "--scopes", "subjects:read"),
        ("scopes", "--id", "nobody", "--scopes"),
    ],
)
def test_the_command_refuses(study: Study, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError):
        call_command("edc_client", *(each.format(study.code) for each in arguments))
    assert not EdcClient.objects.exists()


def test_the_token_address_tries_no_passwords_of_people(study: Study) -> None:
    person = factories.a_user(Role.SITE_COORDINATOR, password="correct horse battery staple")
    form = {"grant_type": "password", "username": person.get_username()}
    client = register(study)
    right = ask(client, **form, password="correct horse battery staple").json()
    wrong = ask(client, **form, password="guess").json()
    assert right == wrong == {"error": "unsupported_grant_type"}
