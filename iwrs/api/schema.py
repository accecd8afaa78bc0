"""How endpoints describe themselves in the OpenAPI document."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema

from iwrs.api.catalogue import CATALOGUE
from iwrs.api.idempotency import HEADER, REPLAYED
from iwrs.api.permissions import required_scope
from iwrs.api.problems import CONTENT_TYPE, ApiProblem, document
from iwrs.api.serializers import ProblemDocument

ViewT = TypeVar("ViewT", bound=Callable[..., Any])

ALWAYS = ("not_authenticated", "invalid_token", "insufficient_scope", "not_acceptable", "internal")
ON_WRITING = (
    *("malformed", "idempotency_key_malformed", "unsupported_media_type", "too_large"),
    *("invalid", "idempotency_key_reused", "request_in_flight", "busy"),
)


class ClientCredentials(OpenApiAuthenticationExtension):
    """The security scheme: client credentials, and the one scope of each operation."""

    target_class = "oauth2_provider.contrib.rest_framework.OAuth2Authentication"
    name = "client_credentials"
    priority = 1

    def get_security_requirement(self, auto_schema: Any) -> dict[str, list[str]]:
        return {self.name: [required_scope(auto_schema.view, auto_schema.method)]}

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        from oauth2_provider.settings import oauth2_settings

        flow = {"tokenUrl": "/api/oauth/token", "scopes": dict(oauth2_settings.SCOPES)}
        return {"type": "oauth2", "flows": {"clientCredentials": flow}}


def read_operation(
    operation: str,
    summary: str,
    description: str,
    *,
    answer: Any,
    example: object,
    problems: Sequence[str] = (),
    parameters: Sequence[Any] = (),
) -> Callable[[ViewT], ViewT]:
    """Describe a GET. `problems` are codes beside those that any request can get."""
    return _described(
        operation_id=operation,
        summary=summary,
        description=description,
        parameters=list(parameters),
        responses={
            200: OpenApiResponse(
                answer, description="The answer.", examples=[_example("Answer", example)]
            ),
            **refusals([*ALWAYS, *problems]),
        },
    )


def write_operation(
    operation: str,
    summary: str,
    description: str,
    *,
    request: Any,
    request_example: object,
    answer: Any,
    example: object,
    status: int = 201,
    problems: Sequence[str] = (),
    key_required: bool = False,
    members: Mapping[str, Mapping[str, Any]] | None = None,
) -> Callable[[ViewT], ViewT]:
    """Describe a POST: its body, its first answer, and what it may refuse.

    `members` maps a problem code to the further members of its answer.
    """
    codes = [*ALWAYS, *ON_WRITING, *problems]
    if key_required:
        codes.append("idempotency_key_missing")
    return _described(
        operation_id=operation,
        summary=summary,
        description=description,
        parameters=[_key_parameter(key_required), _replayed_header(status)],
        request=request,
        examples=[_example("Request", request_example, request_only=True)],
        responses={
            status: OpenApiResponse(
                answer,
                description="Done, or the stored answer of the first request with the same key.",
                examples=[_example("Answer", example)],
            ),
            **refusals(codes, members or {}),
        },
    )


def _described(**options: Any) -> Callable[[ViewT], ViewT]:
    """Describe a view's method under the name of its room."""

    def describe(method: ViewT) -> ViewT:
        room = method.__module__.split(".", 1)[0]
        tag = {"trial": "randomization"}.get(room, room).capitalize()
        return extend_schema(tags=[tag], **options)(method)

    return describe


def refusals(
    codes: Sequence[str], members: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[tuple[int, str], OpenApiResponse]:
    """Error responses, one a status, with an example for each code that the status can have."""
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(codes):
        by_status.setdefault(CATALOGUE[code].status, []).append(code)
    return {
        (status, CONTENT_TYPE): OpenApiResponse(
            ProblemDocument,
            description="; ".join(f"`{code}`: {CATALOGUE[code].title}" for code in found),
            examples=[
                _example(code, _document(code, members or {}), status_codes=[str(status)])
                for code in found
            ],
        )
        for status, found in sorted(by_status.items())
    }


def _document(code: str, members: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    errors = {"consent_on": "This day is in the future."} if code == "invalid" else {}
    return document(ApiProblem(code, errors=errors, members=members.get(code)))


def _example(name: str, value: object, **options: Any) -> OpenApiExample:
    if not options.get("request_only"):
        options["response_only"] = True
    if "status_codes" in options:
        options["media_type"] = CONTENT_TYPE
    return OpenApiExample(name, value=value, **options)


def _key_parameter(required: bool) -> OpenApiParameter:
    return OpenApiParameter(
        HEADER,
        str,
        OpenApiParameter.HEADER,
        required=required,
        description="A new text for each act (a UUID is good), the same one for each retry. "
        "The first answer is stored and given again; another body with the same key is refused.",
    )


def _replayed_header(status: int) -> OpenApiParameter:
    return OpenApiParameter(
        REPLAYED,
        str,
        OpenApiParameter.HEADER,
        response=[status],
        description="`true` when this is the stored answer of an earlier request.",
    )
