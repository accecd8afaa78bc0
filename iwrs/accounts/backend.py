"""The one way in: e-mail and password, with the lock of `iwrs.accounts.services`."""

from typing import Any

from django.contrib.auth.backends import BaseBackend
from django.http import HttpRequest

from iwrs.accounts.events import Caller
from iwrs.accounts.models import User
from iwrs.accounts.services import signed_in


class PasswordBackend(BaseBackend):
    """Django's hook: authenticate by e-mail and password, load the account of a session."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **_: Any,
    ) -> User | None:
        if not username or not password:
            return None
        return signed_in(username, password, by=Caller.of(request))

    def get_user(self, user_id: int) -> User | None:
        """The active account of a session; a deactivated person is signed out at once."""
        return User.objects.filter(pk=user_id, is_active=True).first()
