"""The address where an EDC system gets its access token."""

from typing import Any

from django.db import DataError
from django.http import HttpRequest, HttpResponse, JsonResponse
from oauth2_provider.views import TokenView

from iwrs.accounts.events import Caller
from iwrs.api.oauth import asked_by


class Tokens(TokenView):
    """Client credentials for a token (RFC 6749, 4.4.2).

    A client id that PostgreSQL cannot hold as text, such as one with a NUL, is that of no client:
    the answer is the one of RFC 6749, 5.2.
    """

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            with asked_by(Caller.of(request)):
                response: HttpResponse = super().post(request, *args, **kwargs)
        except DataError:
            return JsonResponse({"error": "invalid_client"}, status=401)
        return response
