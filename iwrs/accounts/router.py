"""Which tables exist a second time, in schema `unblinded`, for unblinded staff."""

from typing import Any

TWICE = {"accounts", "audit", "sessions", "account", "mfa", "socialaccount", "signatures"}


class UnblindedAccountsRouter:
    """Let only accounts, sessions, factors and seals migrate on the alias of the unblinded copies.

    The blinded role must not be able to write the accounts of unblinded staff, or it could
    sign in as one of them.
    """

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        if db == "accounts_unblinded":
            return app_label in TWICE
        return None
