"""One's own account: second factors, and one's password once more before a change.

The pages are django-allauth's, with our forms, templates, records and status codes.
"""

from typing import Any, cast

from allauth.account.views import ReauthenticateView
from allauth.mfa.base import views as base
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes import views as codes
from allauth.mfa.recovery_codes.internal.flows import generate_recovery_codes
from allauth.mfa.totp import views as totp
from allauth.mfa.totp.internal.flows import activate_totp, deactivate_totp
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_safe

from iwrs.accounts import sessions
from iwrs.accounts.events import Caller, record
from iwrs.accounts.factors import Kind, remember_step
from iwrs.accounts.forms_factors import (
    ActivateAppForm,
    CodeAgainForm,
    CodeForm,
    NothingToTypeForm,
    PasswordAgainForm,
)
from iwrs.accounts.models import SignInEvent, User
from iwrs.accounts.passkeys import PasskeyForm


class Refused422:
    """A form that is not accepted is answered with 422, as everywhere in the portal."""

    def form_invalid(self, form: Form) -> HttpResponse:
        context = self.get_context_data(form=form)  # type: ignore[attr-defined]
        return self.render_to_response(context, status=422)  # type: ignore[attr-defined]


@never_cache
@login_required
@require_safe
def account_page(request: HttpRequest) -> HttpResponse:
    """One's own account: password and second factors."""
    factors = Authenticator.objects.filter(user=request.user).order_by("pk")
    app = next((each for each in factors if each.type == Kind.TOTP), None)
    recovery = next((each for each in factors if each.type == Kind.RECOVERY_CODES), None)
    context = {
        "app": app,
        "passkeys": [each for each in factors if each.type == Kind.WEBAUTHN],
        "recovery": recovery,
        "codes_left": len(recovery.wrap().get_unused_codes()) if recovery else 0,
    }
    return render(request, "accounts/account.html", context)


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def sessions_page(request: HttpRequest) -> HttpResponse:
    """List one's sessions, and end one or all others."""
    user, here = cast(User, request.user), str(request.session.session_key)
    mine = sessions.seats(user, here=here)
    if request.method == "POST":
        which = request.POST.get("which", "")
        ended = {seat.id for seat in mine if not seat.here and which in {seat.id, "others"}}
        if not ended:
            messages.warning(request, "This session has ended already.")
            return render(request, "accounts/sessions.html", {"seats": mine}, status=422)
        sessions.end(user, ended, by=Caller.of(request))
        messages.success(request, "The session is ended." if len(ended) == 1 else "They are ended.")
        return redirect("sessions")
    return render(request, "accounts/sessions.html", {"seats": mine})


@never_cache
@login_required
@require_safe
def stay(request: HttpRequest) -> HttpResponse:
    """Nothing but a request: the session was used."""
    return HttpResponse(status=204)


class SecondStep(base.AuthenticateView):
    """The password was right: now a code of the app, or a recovery code."""

    form_class = CodeForm
    webauthn_form_class = PasskeyForm

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        keys = Authenticator.objects.filter(user=self.stage.login.user, type=Kind.WEBAUTHN)
        return super().get_context_data(**kwargs) | {"has_passkey": keys.exists()}

    def form_invalid(self, form: Form) -> HttpResponse:
        return self.render_to_response(self.get_context_data(), status=422)


@method_decorator(sensitive_post_parameters("password"), name="dispatch")
@method_decorator(never_cache, name="dispatch")
class PasswordAgain(Refused422, ReauthenticateView):
    """The password once more, before a change of the account."""

    form_class = PasswordAgainForm


@method_decorator(never_cache, name="dispatch")
class CodeAgain(Refused422, base.ReauthenticateView):
    """A code once more, before a change of the account."""

    form_class = CodeAgainForm


@method_decorator(never_cache, name="dispatch")
class ActivateApp(Refused422, totp.ActivateTOTPView):
    """Show a secret to an authenticator app, and take its first code."""

    form_class = ActivateAppForm

    def form_valid(self, form: ActivateAppForm) -> HttpResponse:
        with transaction.atomic():
            app, made = activate_totp(self.request, form)
            remember_step(app, form.step)
            _record(self.request, SignInEvent.What.FACTOR_ADDED, "app")
        messages.success(self.request, "The app is set up. You need it at your next sign-in.")
        return redirect("mfa_view_recovery_codes" if made else "mfa_index")


@method_decorator(never_cache, name="dispatch")
class RemoveApp(Refused422, totp.DeactivateTOTPView):
    """Take the app away."""

    form_class = NothingToTypeForm

    def form_valid(self, form: Form) -> HttpResponse:
        with transaction.atomic():
            deactivate_totp(self.request, self.authenticator)
            _record(self.request, SignInEvent.What.FACTOR_REMOVED, "app")
        messages.success(self.request, "The app is removed.")
        return redirect("mfa_index")


@method_decorator(never_cache, name="dispatch")
class RecoveryCodes(codes.ViewRecoveryCodesView):
    """The recovery codes, shown once."""


@method_decorator(never_cache, name="dispatch")
class NewRecoveryCodes(Refused422, codes.GenerateRecoveryCodesView):
    """New recovery codes in place of the old ones."""

    form_class = NothingToTypeForm

    def form_valid(self, form: Form) -> HttpResponse:
        with transaction.atomic():
            generate_recovery_codes(self.request)
            _record(self.request, SignInEvent.What.FACTOR_ADDED, "recovery codes")
        return redirect("mfa_view_recovery_codes")


def _record(request: HttpRequest, what: SignInEvent.What, method: str) -> None:
    record(what, cast(User, request.user), by=Caller.of(request), method=method)
