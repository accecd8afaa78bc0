"""Signing in through a sponsor's own directory (OpenID Connect, authorization code with PKCE).

The directory proves an e-mail address; it makes no account, and speaks only for the domains that
the operator listed: another organization's people are not its to name.
"""

from typing import Any, NoReturn

import jwt
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.internal import jwtkit
from allauth.socialaccount.models import SocialApp, SocialLogin
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from iwrs.accounts.events import Caller, record
from iwrs.accounts.models import SignInEvent, User

ALGORITHMS = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"}
REFUSED = (
    "The directory did not sign you in here. Sign in with your password, or ask who gave you the "
    "account whether it has the e-mail address of the directory."
)


class Directory(OpenIDConnectOAuth2Adapter):
    """The configured directory. Its token is checked whichever way it came."""

    def _decode_id_token(self, app: SocialApp, id_token: str) -> dict[str, Any]:
        try:
            if jwt.get_unverified_header(id_token).get("alg") not in ALGORITHMS:
                raise OAuth2Error("the token is not signed with a public key")
            found: dict[str, Any] = jwtkit.verify_and_decode(
                credential=id_token,
                keys_url=self.openid_config["jwks_uri"],
                issuer=self.openid_config["issuer"],
                audience=app.client_id,
                lookup_kid=jwtkit.lookup_kid_jwk,
            )
        except (jwt.PyJWTError, KeyError, ValueError, TypeError) as problem:
            raise OAuth2Error("the token could not be checked") from problem
        return found


class DirectoryRules(DefaultSocialAccountAdapter):
    """allauth's questions about people who come from a directory."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        """A directory makes no account."""
        return False

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Link the person's account at the first sign-in; refuse whoever has none."""
        if sociallogin.state.get("process") != "login":
            _refuse(request, None)
        if sociallogin.is_existing:
            return
        user = _account_of(sociallogin.account.extra_data.get("id_token") or {})
        if user is None:
            _refuse(request, None)
        sociallogin.connect(request, user)
        record(SignInEvent.What.LINKED, user, by=Caller.of(request), method="directory")

    def on_authentication_error(self, request: HttpRequest, provider: Any, **_: Any) -> None:
        _refuse(request, None)


def _account_of(told: dict[str, Any]) -> User | None:
    """The active account with the address that the directory verified and may speak for."""
    email = str(told.get("email") or "").strip().lower()
    if told.get("email_verified") is not True or "\0" in email:
        return None
    if email.rpartition("@")[2] not in settings.DIRECTORY_DOMAINS:
        return None
    return User.objects.filter(email__iexact=email, is_active=True).first()


def _refuse(request: HttpRequest, user: User | None) -> NoReturn:
    record(SignInEvent.What.REFUSED, user, by=Caller.of(request), method="directory")
    messages.error(request, REFUSED)
    raise ImmediateHttpResponse(HttpResponseRedirect(reverse("sign-in")))


@never_cache
@require_GET
def to_directory(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Lead to the directory's own sign-in."""
    return _answer(request, provider_id, OAuth2LoginView)


@never_cache
@require_GET
def from_directory(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Take the directory's answer."""
    return _answer(request, provider_id, OAuth2CallbackView)


def _answer(request: HttpRequest, provider_id: str, view: Any) -> HttpResponse:
    try:
        answer: HttpResponse = view.adapter_view(Directory(request, provider_id))(request)
    except SocialApp.DoesNotExist:
        raise Http404 from None
    except (KeyError, ValueError, TypeError, OAuth2Error, OSError):
        _refuse(request, None)  # the directory is not there, or does not speak OpenID Connect
    return answer
