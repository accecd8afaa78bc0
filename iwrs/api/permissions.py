"""Who may call: a client of one study, with the scope of the act."""

from typing import TYPE_CHECKING, Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from iwrs.api.oauth import scopes_of
from iwrs.api.problems import ApiProblem
from iwrs.models import EdcClient

if TYPE_CHECKING:  # DRF's views import this module through the settings
    from rest_framework.views import APIView


def required_scope(view: "APIView", method: str) -> str:
    """The scope that `view` asks for `method`; empty when the view does not take the method."""
    scopes: dict[str, str] = getattr(view, "scopes", {})
    return scopes.get("GET" if method == "HEAD" else method, "")


class ClientWithScope(BasePermission):
    """A valid token of an EDC client, with the scope that the view names for the method.

    The scope must be in the token and still be allowed to the client: taking a scope away from
    a client works at once, not when its tokens expire. A view that names no scope for a method
    that it takes lets nobody in.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        token: Any = request.auth
        if token is None or not isinstance(getattr(token, "application", None), EdcClient):
            return False
        method = request.method or ""
        if method not in view.allowed_methods:
            return True  # answered with 405 by the view
        scope = required_scope(view, method)
        if not scope:
            return False
        if token.allow_scopes([scope]) and scope in scopes_of(token.application):
            return True
        raise ApiProblem(
            "insufficient_scope",
            f"This needs the scope {scope}.",
            headers={
                "WWW-Authenticate": f'Bearer realm="api", error="insufficient_scope", '
                f'scope="{scope}"'
            },
        )
