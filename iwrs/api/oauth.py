"""Access tokens for EDC systems: OAuth2 client credentials (RFC 6749, 4.4), scopes by client."""

import hashlib
from typing import Any

from oauth2_provider.models import AbstractAccessToken, get_access_token_model
from oauth2_provider.oauth2_validators import OAuth2Validator
from oauth2_provider.scopes import SettingsScopes

from iwrs.models import EdcClient


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
    """Reads a token with its client and study in one query: every request asks for both."""

    def _load_access_token(self, token: str) -> AbstractAccessToken | None:
        checksum = hashlib.sha256(token.encode("utf-8")).hexdigest()
        tokens = get_access_token_model().objects.select_related("application__study")
        found: AbstractAccessToken | None = (
            tokens.only(*_READ).filter(token_checksum=checksum).first()
        )
        return found


def scopes_of(client: EdcClient) -> list[str]:
    """The scopes a client may have now, in the order in which they were given."""
    return client.allowed_scopes.split()
