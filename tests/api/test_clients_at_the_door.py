"""Tokens given and wrong client secrets are rows at the door, and people learn of guessing."""

import logging
from datetime import timedelta

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.test import Client
from oauth2_provider.models import AccessToken

from enrolment import letters
from iwrs.accounts.models import Role, SignInEvent
from iwrs.models import EdcClient, OutboxMessage, Study
from iwrs.outbox import deliver_due
from tests import factories
from tests.api.client import SECRET, register
from tests.api.test_clients import ask

pytestmark = pytest.mark.django_db
What = SignInEvent.What


@pytest.fixture
def study() -> Study:
    return factories.a_study(with_list=False)


def rows(client: EdcClient) -> list[str]:
    found = SignInEvent.objects.filter(client=client.client_id).order_by("pk")
    return list(found.values_list("what", flat=True))


def queued() -> list[OutboxMessage]:
    return list(OutboxMessage.objects.filter(topic=letters.CLIENT_REFUSED).order_by("pk"))


@pytest.mark.requirement("REQ-029")
def test_a_token_and_a_wrong_secret_leave_a_row_each(study: Study) -> None:
    client = register(study)
    assert ask(client, secret="guess").status_code == 401
    assert ask(client).status_code == 200
    refused, given = SignInEvent.objects.order_by("pk")
    assert (refused.what, given.what) == (What.REFUSED, What.SIGNED_IN)
    for row in (refused, given):
        assert row.user is None
        assert row.client == client.client_id
        assert row.done_by == "EDC client Rave"
        assert (row.method, row.site, row.address) == ("client secret", "blinded", "127.0.0.1")
        assert row.of_request is not None


@pytest.mark.requirement("REQ-014")
def test_no_row_or_log_line_has_a_secret(study: Study, caplog: pytest.LogCaptureFixture) -> None:
    client = register(study)
    with caplog.at_level(logging.DEBUG):
        ask(client, secret="a wrong one of theirs")
        token = ask(client).json()["access_token"]
    kept = str(list(SignInEvent.objects.values())) + caplog.text
    for secret in (SECRET, "a wrong one of theirs", token):
        assert secret not in kept


def test_an_id_of_no_client_leaves_no_row(study: Study) -> None:
    assert ask(EdcClient(client_id="of-nobody")).status_code == 401
    assert (
        Client().post("/api/oauth/token", {"grant_type": "client_credentials"}).status_code == 401
    )
    assert not SignInEvent.objects.exists()


def test_a_secret_in_the_body_counts_as_well(study: Study) -> None:
    client = register(study)
    typed = {"grant_type": "client_credentials", "client_id": client.client_id}
    for secret in ("guess", SECRET):
        Client().post("/api/oauth/token", typed | {"client_secret": secret})
    assert rows(client) == [What.REFUSED, What.SIGNED_IN]


@pytest.mark.parametrize("hides", ["of-nobody", "of\0nobody"])
@pytest.mark.requirement("REQ-016")
def test_a_second_id_in_the_request_hides_no_guess(study: Study, hides: str) -> None:
    client = register(study)
    assert ask(client, secret="guess", client_id=hides).status_code == 401
    assert rows(client) == [What.REFUSED]


def test_a_scope_that_is_refused_is_no_token_and_no_wrong_secret(study: Study) -> None:
    client = register(study, ("subjects:read",))
    assert ask(client, scope="subjects:randomize").status_code in {400, 401}
    assert rows(client) == []


def test_no_token_is_given_without_its_row(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    client = register(study)

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no row")

    monkeypatch.setattr("iwrs.api.oauth.record", broken)
    with pytest.raises(RuntimeError, match="no row"):
        ask(client)
    assert not AccessToken.objects.exists()


@pytest.mark.requirement("REQ-016", "REQ-017")
def test_the_fifth_wrong_secret_in_a_row_is_told_once(study: Study) -> None:
    managers = [
        factories.a_user(role, study=study) for role in (Role.STUDY_MANAGER, Role.ADMINISTRATOR)
    ]
    factories.a_user(Role.MONITOR, study=study)
    client, other = register(study), register(study, name="Other")
    for _ in range(4):
        ask(client, secret="guess")
        ask(other, secret="guess")
    assert queued() == []
    for _ in range(3):
        assert ask(client, secret="guess").status_code == 401
    [message] = queued()
    assert message.study == study
    assert ask(client).status_code == 200, "nobody is locked out"
    deliver_due()
    [letter] = mail.outbox
    assert sorted(letter.to) == sorted(each.email for each in managers)
    assert letter.subject == f"[{study.code}] Wrong secrets for the EDC system Rave"
    assert "5 times in a row" in letter.body
    assert "from 127.0.0.1" in letter.body
    assert client.client_id in letter.body
    assert "guess" not in letter.body


@pytest.mark.requirement("REQ-016")
def test_a_token_given_begins_the_count_again(study: Study) -> None:
    client = register(study)
    for _ in range(2):
        for _ in range(4):
            ask(client, secret="guess")
        ask(client)
    assert queued() == []


@pytest.mark.requirement("REQ-016")
def test_wrong_secrets_of_another_hour_do_not_count(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = register(study)
    for _ in range(4):
        ask(client, secret="guess")
    monkeypatch.setattr(letters, "WITHIN", timedelta(0))
    ask(client, secret="guess")
    assert queued() == []
    monkeypatch.undo()
    ask(client, secret="guess")
    assert len(queued()) == 1


def test_only_the_secret_of_a_client_is_replaced(study: Study) -> None:
    with pytest.raises(CommandError, match="No client has this id"):
        call_command("edc_client", "secret", "--id", "of-nobody")
    assert not SignInEvent.objects.exists()
