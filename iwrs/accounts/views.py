"""Sign in, sign out, set and change a password.

Both sites use these pages, each with its own accounts and cookies.
"""

import time
from typing import cast

from allauth.account.internal.flows.login import perform_password_login
from allauth.account.models import Login
from django import forms
from django.contrib import messages
from django.contrib.auth import authenticate, logout
from django.contrib.auth.decorators import login_required
from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
)
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from iwrs.accounts.events import Caller, record
from iwrs.accounts.links import ask_for_link
from iwrs.accounts.models import SignInEvent, User
from iwrs.accounts.services import (
    account_of_link,
    change_password,
    link_is_dead,
    set_password,
)
from iwrs.forms import PortalForm, new_password_field, password_field
from iwrs.problems import Problem

_LINK = "link to set a password"  # in the session: [who, token]
ASKED = (
    "If this address has an account here, a letter with a link is on its way to it. "
    "It can take a few minutes. At most 3 letters are sent in an hour, and at most 20 requests are "
    "taken from one place."
)
SECONDS_OF_ASKING = 0.5  # longer than any work behind it, so that time tells nothing
REFUSED = (
    "The e-mail address or the password is not right, or the account is locked. "
    "After 5 wrong passwords an account is locked for 15 minutes."
)


class ForgottenForm(PortalForm):
    email = forms.EmailField(
        label="E-mail address",
        widget=forms.EmailInput(attrs={"autocomplete": "username", "inputmode": "email"}),
        error_messages={
            "required": "Type your e-mail address.",
            "invalid": "Type an e-mail address, for example name@hospital.org.",
        },
    )


class SignInForm(ForgottenForm):
    password = password_field("Password")


class NewPasswordForm(PortalForm):
    password = new_password_field(
        "New password",
        help_text="At least 12 characters. A few words that do not belong together are good.",
    )
    again = new_password_field("The same password again")

    def clean_again(self) -> str:
        again: str = self.cleaned_data["again"]
        if again != self.cleaned_data.get("password", again):
            raise forms.ValidationError("The two passwords are not the same.")
        return again


class ChangePasswordForm(NewPasswordForm):
    old = password_field("Your present password")
    field_order = ("old", "password", "again")


@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    """Ask for e-mail and password. Every refusal has one and the same text."""
    onward = _onward(request)
    if request.user.is_authenticated and request.method != "POST":
        return HttpResponseRedirect(onward)  # an address, never the name of a page
    form = SignInForm(request.POST or None)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            user = authenticate(
                request,
                username=form.cleaned_data["email"],
                password=form.cleaned_data["password"],
            )
            if isinstance(user, User):
                return _go_on(request, user, onward)
            form.add_error(None, REFUSED)
    context = {"form": form, "next": request.POST.get("next", request.GET.get("next", ""))}
    return render(request, "accounts/sign_in.html", context, status=status)


def _go_on(request: HttpRequest, user: User, onward: str) -> HttpResponse:
    """The password was right: allauth asks for what else is needed, and opens the session."""
    if request.user.is_authenticated and request.user.pk != user.pk:
        logout(request)
    login = Login(user=user, email=user.email, redirect_url=onward)
    return perform_password_login(request, {}, login)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def forgotten_password(request: HttpRequest) -> HttpResponse:
    """Ask for a letter with a new link. No answer tells, by text or time, who has an account."""
    form = ForgottenForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        began = time.monotonic()
        if ask_for_link(form.cleaned_data["email"], by=Caller.of(request)):
            time.sleep(max(0.0, began + SECONDS_OF_ASKING - time.monotonic()))
        messages.success(request, ASKED)
        return redirect("sign-in")
    status = 422 if request.method == "POST" else 200
    return render(request, "accounts/forgotten_password.html", {"form": form}, status=status)


@never_cache
@require_safe
def take_link(request: HttpRequest, who: str, token: str) -> HttpResponse:
    """Take a one-time link out of the address: no log, no history and no next page sees it."""
    request.session[_LINK] = [who, token]
    return redirect("choose-password")


@sensitive_post_parameters("password", "again")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def set_password_page(request: HttpRequest) -> HttpResponse:
    """Let the holder of a one-time link choose the password of the account it was made for."""
    who, token = request.session.get(_LINK, ["", ""])
    user = account_of_link(who, token)
    if user is None:
        problem = link_is_dead()
        return render(
            request, "accounts/link_is_dead.html", {"problem": problem}, status=problem.status
        )
    form = NewPasswordForm(request.POST or None)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                set_password(user, token, form.cleaned_data["password"], by=Caller.of(request))
            except Problem as problem:
                form.show(problem)
                status = problem.status
            else:
                del request.session[_LINK]
                messages.success(request, "Your password is set. You can sign in now.")
                return redirect("sign-in")
    context = {"form": form, "account": user}
    return render(request, "accounts/set_password.html", context, status=status)


@sensitive_post_parameters("old", "password", "again")
@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def change_password_page(request: HttpRequest) -> HttpResponse:
    """Change one's own password; then every session ends, and the new password opens one."""
    form = ChangePasswordForm(request.POST or None)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            typed = form.cleaned_data
            user = cast(User, request.user)
            try:
                change_password(user, typed["old"], typed["password"], by=Caller.of(request))
            except Problem as problem:
                form.show(problem)
                status = problem.status
            else:
                logout(request)
                messages.success(request, "Your password is changed. Sign in with the new one.")
                return redirect("sign-in")
    return render(request, "accounts/change_password.html", {"form": form}, status=status)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session."""
    if isinstance(request.user, User):
        record(SignInEvent.What.SIGNED_OUT, request.user, by=Caller.of(request))
    logout(request)
    return redirect("sign-in")


def _onward(request: HttpRequest) -> str:
    """The page the person wanted, if it is one of this site; else the home page."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    safe = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if safe else resolve_url("home")
