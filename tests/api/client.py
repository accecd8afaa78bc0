"""An EDC system for tests: a registered client with a token, over Django's test client."""

import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.test import Client
from django.utils import timezone
from oauth2_provider.models import AccessToken, set_token_value

from enrolment.models import Centre
from iwrs.models import EdcClient, Study
from tests import factories

ALL_SCOPES = tuple(settings.OAUTH2_PROVIDER["SCOPES"])
SECRET = "a secret for tests only"


def register(study: Study, scopes: tuple[str, ...] = ALL_SCOPES, name: str = "Rave") -> EdcClient:
    """A client as `manage.py edc_client create` makes it."""
    return EdcClient.objects.create(
        study=study,
        name=name,
        allowed_scopes=" ".join(scopes),
        client_type=EdcClient.CLIENT_CONFIDENTIAL,
        authorization_grant_type=EdcClient.GRANT_CLIENT_CREDENTIALS,
        client_secret=SECRET,
    )


def token_for(client: EdcClient, scopes: tuple[str, ...], lives: timedelta) -> str:
    """A token row as the token address makes it."""
    raw = uuid.uuid4().hex
    token = AccessToken(application=client, scope=" ".join(scopes), expires=timezone.now() + lives)
    set_token_value(token, raw)
    token.save()
    return raw


class Edc:
    """Calls the API of one study. Answers are Django responses; `.json()` reads them."""

    def __init__(
        self,
        study: Study,
        scopes: tuple[str, ...] = ALL_SCOPES,
        lives: timedelta = timedelta(minutes=5),
    ) -> None:
        self.registered = register(study, scopes)
        self.token = token_for(self.registered, scopes, lives)
        self.http = Client(raise_request_exception=False)

    def headers(self, key: str | None) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self.token}"}
        return headers | ({"Idempotency-Key": key} if key else {})

    def get(self, path: str, **query: Any) -> Any:
        return self.http.get(f"/api/v1/{path}", query, headers=self.headers(None))

    def post(self, path: str, body: Any = None, key: str | None = None) -> Any:
        return self.http.post(
            f"/api/v1/{path}",
            {} if body is None else body,
            content_type="application/json",
            headers=self.headers(key),
        )

    def randomize(self, number: str, key: str | None = None) -> Any:
        return self.post(f"subjects/{number}/randomization", key=key or uuid.uuid4().hex)


def screening_body(at: Centre, **changes: Any) -> dict[str, Any]:
    """The body that screens an eligible subject, but for `changes`."""
    answers = factories.screening(at.study)
    body: dict[str, Any] = {
        "centre": at.number,
        "consent_on": str(answers.consent_on),
        "strata": dict(answers.strata),
        "eligibility": dict(answers.eligibility),
        "baseline": dict(answers.baseline),
    }
    return body | changes
