"""Passkeys: made and removed on one's account page, used at the door or as the second step.

They need a script and a browser that knows them; a code of the app does the same without.
"""

from typing import Any, cast

from allauth.account.internal.flows.login import perform_login
from allauth.account.models import Login
from allauth.core import context
from allauth.mfa.base.internal.flows import post_authentication
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn import views as webauthn
from allauth.mfa.webauthn.internal import auth, flows
from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import DatabaseError, transaction
from django.forms import Form
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.generic.edit import FormView

from iwrs.accounts.events import Caller, record
from iwrs.accounts.models import SignInEvent, User
from iwrs.forms import PortalForm

REFUSED = "The passkey was not accepted. Try again, or go on without it."


class Credential(forms.JSONField):
    """What the browser's authenticator said: an object, or it is refused before it is read."""

    widget = forms.HiddenInput

    def clean(self, value: Any) -> Any:
        try:
            credential = super().clean(value)
        except (ValidationError, ValueError, RecursionError):
            raise ValidationError(REFUSED) from None
        if not isinstance(credential, dict) or not isinstance(credential.get("response"), dict):
            raise ValidationError(REFUSED)
        return credential


class PasskeyForm(PortalForm):
    """A passkey of this person; with `user` None, of whomever the passkey names."""

    credential = Credential()
    passwordless = reauthenticated = False

    def __init__(self, *args: Any, user: User | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.user = user

    def clean_credential(self) -> Authenticator:
        told = self.cleaned_data["credential"]
        try:
            auth.parse_authentication_response(told)
            user = self.user or auth.extract_user_from_response(told)
            return auth.complete_authentication(user, told)
        except DatabaseError:
            raise
        except Exception:  # the parser names no kind of error for what is no answer
            by = Caller.of(context.request)
            record(SignInEvent.What.REFUSED, self.user, by=by, method="passkey")
            raise ValidationError(REFUSED) from None

    def save(self) -> None:
        """Note in the session what was shown."""
        post_authentication(
            context.request,
            self.cleaned_data["credential"],
            reauthenticated=self.reauthenticated,
            passwordless=self.passwordless,
        )


class PasskeyAgainForm(PasskeyForm):
    reauthenticated = True


class NewPasskeyForm(PortalForm):
    """The name and the public key of a new passkey."""

    name = forms.CharField(
        label="Name",
        help_text="So that you know it again, for example: work laptop.",
        max_length=60,
        initial="Passkey",
        error_messages={"required": "Give the passkey a name."},
    )
    credential = Credential()

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)

    def clean_credential(self) -> dict[str, Any]:
        told: dict[str, Any] = self.cleaned_data["credential"]
        try:
            auth.parse_registration_response(told)
            made = auth.complete_registration(told)
        except DatabaseError:
            raise
        except Exception:  # as above
            raise ValidationError(REFUSED) from None
        if not made.is_user_verified():
            raise ValidationError("This device did not ask for a PIN, a finger or a face.")
        return told


@method_decorator(never_cache, name="dispatch")
class AddPasskey(webauthn.AddWebAuthnView):
    """Make a passkey that also serves without a password: the device itself asks who it is."""

    form_class = NewPasskeyForm

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        made = FormView.get_context_data(self, **kwargs)
        options = auth.begin_registration(self.request.user, True)
        return made | {"options": options}

    def form_valid(self, form: NewPasskeyForm) -> HttpResponse:
        typed = form.cleaned_data
        with transaction.atomic():
            _, made = flows.add_authenticator(self.request, typed["name"], typed["credential"])
            by = Caller.of(self.request)
            record(SignInEvent.What.FACTOR_ADDED, self.request.user, by=by, method="passkey")
        messages.success(self.request, "The passkey is made. You can sign in with it.")
        return redirect("mfa_view_recovery_codes" if made else "mfa_index")

    def form_invalid(self, form: Form) -> HttpResponse:
        return self.render_to_response(self.get_context_data(form=form), status=422)


@method_decorator(never_cache, name="dispatch")
class RemovePasskey(webauthn.RemoveWebAuthnView):
    """Take a passkey away."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        mine = Authenticator.objects.filter(user_id=request.user.pk, pk=kwargs["pk"])
        if request.user.is_authenticated and not mine.exists():
            raise Http404
        return cast(HttpResponse, super().dispatch(request, *args, **kwargs))

    def form_valid(self, form: Form) -> HttpResponse:
        with transaction.atomic():
            flows.remove_authenticator(self.request, self.get_object())
            by = Caller.of(self.request)
            record(SignInEvent.What.FACTOR_REMOVED, self.request.user, by=by, method="passkey")
        messages.success(self.request, "The passkey is removed.")
        return redirect("mfa_index")


@method_decorator(never_cache, name="dispatch")
class SignInByPasskey(webauthn.LoginWebAuthnView):
    """The door, with a passkey alone: something one has, and the PIN or finger that opens it."""

    form_class = PasskeyForm

    def form_valid(self, form: PasskeyForm) -> HttpResponse:
        factor = form.cleaned_data["credential"]
        post_authentication(self.request, factor, passwordless=True)
        login = Login(user=factor.user, redirect_url=self.get_authenticated_redirect_url())
        return cast(HttpResponse, perform_login(self.request, login))

    def form_invalid(self, form: Form) -> HttpResponse:
        messages.error(self.request, REFUSED)
        return redirect("sign-in")


@method_decorator(never_cache, name="dispatch")
class PasskeyAgain(webauthn.ReauthenticateWebAuthnView):
    """A passkey once more, before a change of the account."""

    form_class = PasskeyAgainForm

    def form_invalid(self, form: Form) -> HttpResponse:
        context = self.get_context_data() | {"refused": REFUSED}
        return self.render_to_response(context, status=422)
