"""Access tokens for EDC systems: OAuth2 client credentials (RFC 6749, 4.4), scopes by client."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.db import transaction
from oauth2_provider.models import AbstractAccessToken, get_access_token_model
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauth2_provider.scopes import SettingsScopes

from iwrs.accounts.events import Caller, record
from iwrs.accounts.models import SignInEvent
from iwrs.actors import Actor
from iwrs.models import EdcClient

METHOD = "client secret"  # how a client signs in, as its row at the door says it
_caller: ContextVar[Caller | None] = ContextVar("iwrs_token_caller", default=None)


@contextmanager
def asked_by(caller: Caller) -> Iterator[None]:
    """Say where the request for a token comes from: the validator below is not told."""
    token = _caller.set(caller)
    try:
        yield
    finally:
        _caller.reset(token)


class ClientScopes(SettingsScopes):
    """A client gets the scopes of its own row and no other; by default it gets all of them."""

    def get_available_scopes(
        self, application: EdcClient | None = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        return scopes_of(application) if application else []

    def get_default_scopes(
        self, application: EdcClient | None = None, request: Any = None, *args: Any, **kwargs: Any
    ) -> list[str]:
        return scopes_of(application) if application else []


_OF_TOKEN = ("id", "token_checksum", "expires", "scope", "resource", "user", "application")
_OF_CLIENT = ("id", "client_id", "name", "allowed_scopes", "study")
_OF_STUDY = ("id", "code", "status", "replay_now", "definition_sha256")
_READ = (
    *_OF_TOKEN,
    *(f"application__{name}" for name in _OF_CLIENT),
    *(f"application__study__{name}" for name in _OF_STUDY),
)


class ClientValidator(OAuth2Validator):
    """Reads a token with its client and study in one query: every request asks for both.

    Each token given and each wrong secret is a row at the door (21 CFR 11.300(d)). An id that no
    client has leaves none: anybody could fill the table with those.
    """

    def _authenticate_basic_auth(self, request: Any) -> bool:
        return self._told(super()._authenticate_basic_auth(request), request)

    def _authenticate_request_body(self, request: Any) -> bool:
        return self._told(super()._authenticate_request_body(request), request)

    def _told(self, right: bool, request: Any) -> bool:
        """Record a wrong secret here, where it is compared: no other part of a request can hide it.

        A client is found and yet refused for nothing but its secret. Wrong ones lock nobody out,
        unlike a person's passwords: who knows a client's id, which is no secret, could stop a
        trial's EDC system by guessing. A secret of 64 random characters is not guessed. People are
        told (`enrolment.letters`).
        """
        if not right and request.client is not None:
            _record(SignInEvent.What.REFUSED, request.client)
        return right

    def save_bearer_token(self, token: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        with transaction.atomic():  # no token without its row
            super().save_bearer_token(token, request, *args, **kwargs)
            _record(SignInEvent.What.SIGNED_IN, request.client)

    def _load_access_token(self, token: str) -> AbstractAccessToken | None:
        checksum = hashlib.sha256(token.encode("utf-8")).hexdigest()
        tokens = get_access_token_model().objects.select_related("application__study")
        found: AbstractAccessToken | None = (
            tokens.only(*_READ).filter(token_checksum=checksum).first()
        )
        return found


def _record(what: SignInEvent.What, client: EdcClient) -> None:
    label = Actor.client(client).label
    record(
        what,
        None,
        by=_caller.get() or Caller(),
        method=METHOD,
        client=client.client_id,
        done_by=label,
    )


def scopes_of(client: EdcClient) -> list[str]:
    """The scopes a client may have now, in the order in which they were given."""
    return client.allowed_scopes.split()
