"""Reading settings from the environment: what is missing fails loudly and says what to do."""

import os
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured


def required(name: str, hint: str) -> str:
    """Return the variable `name`, or stop with a message that says how to set it."""
    value = os.environ.get(name, "")
    if not value:
        raise ImproperlyConfigured(f"The environment variable {name} is not set. {hint}")
    return value


def flag(name: str) -> bool:
    """True when the variable is one of 1, true, yes, on (any case)."""
    return os.environ.get(name, "").strip().lower() in {"1", "true", "yes", "on"}


def directory(prefix: str) -> tuple[str, set[str], dict[str, Any]]:
    """A sponsor's OpenID Connect directory from `prefix`_SERVER and its companions.

    Returns the name that people read, the domains it may speak for, and allauth's setting; all
    empty when there is none.
    """
    server = os.environ.get(f"{prefix}_SERVER", "").rstrip("/")
    if not server:
        return "", set(), {}
    if urlsplit(server).scheme != "https":
        raise ImproperlyConfigured(f"{prefix}_SERVER must start with https://, not {server!r}.")
    hint = "A directory needs a client, its secret, and the e-mail domains of its people."
    domains = required(f"{prefix}_DOMAINS", hint).lower().split(",")
    name = os.environ.get(f"{prefix}_NAME", "your organization's directory")
    app = {
        "provider_id": "directory",
        "name": name,
        "client_id": required(f"{prefix}_CLIENT", hint),
        "secret": required(f"{prefix}_CLIENT_SECRET", hint),
        # What counts is the signed token; nothing else is fetched.
        "settings": {"server_url": server, "fetch_userinfo": False},
    }
    providers = {"openid_connect": {"OAUTH_PKCE_ENABLED": True, "APPS": [app]}}
    return name, {each.strip() for each in domains if each.strip()}, providers


def database(url: str, *, search_path: str) -> dict[str, Any]:
    """Turn a PostgreSQL URL into a Django DATABASES entry.

    The host may be a directory of a Unix socket given as `?host=/path`, as libpq allows.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(
            "DATABASE_URL must start with postgresql:// because the blind is kept by PostgreSQL; "
            f"it starts with {parts.scheme or 'nothing'}."
        )
    query = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.pop("host", parts.hostname or ""),
        "PORT": query.pop("port", str(parts.port or "")),
        "OPTIONS": {
            **query,
            # Values travel apart from the text of a statement, and one that a connection has
            # sent a few times is planned once.
            "server_side_binding": True,
            "prepare_threshold": 5,
            "options": f"-c search_path={search_path} {query.get('options', '')}".strip(),
        },
    }
