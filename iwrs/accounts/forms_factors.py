"""Forms of second factors: django-allauth's questions in the portal's own words."""

from typing import Any

from allauth.core import context
from allauth.mfa.base.internal.flows import post_authentication
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import get_totp_secret
from django import forms
from django.core.exceptions import ValidationError

from iwrs.accounts.events import Caller
from iwrs.accounts.factors import checked_code, step_of
from iwrs.accounts.models import User
from iwrs.accounts.services import checked_password
from iwrs.forms import PortalForm, password_field

WRONG_CODE = (
    "This code is not right, was used before, or the account is locked. Wait for the next code. "
    "After 5 wrong codes an account is locked for 15 minutes."
)
NOT_ACCEPTED = (
    "This is not your password, or the account is locked. "
    "After 5 wrong passwords an account is locked for 15 minutes."
)


def code_field(help_text: str) -> forms.CharField:
    """A code of an app, or a recovery code."""
    return forms.CharField(
        label="Code",
        help_text=help_text,
        max_length=20,
        widget=forms.TextInput(
            attrs={
                "autocomplete": "one-time-code",
                "inputmode": "numeric",
                "spellcheck": "false",
            }
        ),
        error_messages={"required": "Type the code.", "max_length": "A code is shorter than this."},
    )


class CodeForm(PortalForm):
    """The second step of signing in."""

    reauthenticated = False
    code = code_field("Six digits of your app, or one of your recovery codes.")

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user
        self.authenticator: Authenticator | None = None

    def clean_code(self) -> str:
        code = str(self.cleaned_data["code"])
        self.authenticator = checked_code(self.user, code, by=Caller.of(context.request))
        if self.authenticator is None:
            raise ValidationError(WRONG_CODE)
        return code

    def save(self) -> None:
        """Note in the session what was shown."""
        post_authentication(
            context.request, self.authenticator, reauthenticated=self.reauthenticated
        )


class CodeAgainForm(CodeForm):
    """A code once more, before a change of the account."""

    reauthenticated = True


class PasswordAgainForm(PortalForm):
    """The password once more, before a change of the account."""

    password = password_field("Your password")

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean_password(self) -> str:
        password = str(self.cleaned_data["password"])
        if not checked_password(self.user, password, by=Caller.of(context.request)):
            raise ValidationError(NOT_ACCEPTED)
        return password


class ActivateAppForm(PortalForm):
    """The first code of a new app shows that it was set up right."""

    code = code_field("Six digits that the app shows now.")

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.secret = get_totp_secret(regenerate=not self.is_bound)
        self.step = -1

    def clean_code(self) -> str:
        code = str(self.cleaned_data["code"])
        step = step_of(self.secret, code)
        if step is None:
            raise ValidationError(
                "This is not the code that the app shows now. The clock of your phone must be "
                "right. Type the next code."
            )
        self.step = step
        return code


class NothingToTypeForm(PortalForm):
    """A button: nothing is asked."""

    def __init__(self, *args: Any, user: User | None = None, **kwargs: Any) -> None:
        kwargs.pop("authenticator", None)
        super().__init__(*args, **kwargs)
