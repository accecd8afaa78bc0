"""Every error of the API as application/problem+json (RFC 9457)."""

import traceback
from collections.abc import Iterator, Mapping
from typing import Any

import structlog
from django.core.exceptions import (
    ObjectDoesNotExist,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from iwrs.api.catalogue import CATALOGUE, PROBLEMS_PATH
from iwrs.problems import Invalid, Problem

CONTENT_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = {"busy": 3, "request_in_flight": 1}

logger = structlog.get_logger(__name__)


class ApiProblem(Problem):
    """A problem of the API itself, worded by the catalogue.

    `members` are further members of the answer (RFC 9457, 3.2), `headers` go with it.
    """

    def __init__(
        self,
        code: str,
        title: str = "",
        *,
        status: int = 0,
        errors: Mapping[str, str] | None = None,
        members: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        meaning = CATALOGUE[code]
        super().__init__(
            code=code,
            title=title or meaning.title,
            action=meaning.action,
            errors=dict(errors or {}),
            status=status or meaning.status,
        )
        self.members = dict(members or {})
        self.headers = dict(headers or {})


# DRF's own exceptions, most special first.
_DRF_CODES: tuple[tuple[type[exceptions.APIException], str], ...] = (
    (exceptions.ParseError, "malformed"),
    (exceptions.AuthenticationFailed, "invalid_token"),
    (exceptions.PermissionDenied, "forbidden"),
    (exceptions.NotFound, "not_found"),
    (exceptions.MethodNotAllowed, "method_not_allowed"),
    (exceptions.NotAcceptable, "not_acceptable"),
    (exceptions.UnsupportedMediaType, "unsupported_media_type"),
    (exceptions.Throttled, "too_many_requests"),
)
_DJANGO_CODES: tuple[tuple[type[Exception], str], ...] = (
    (Http404, "not_found"),
    (ObjectDoesNotExist, "not_found"),
    (PermissionDenied, "forbidden"),
    (RequestDataTooBig, "too_large"),
    (SuspiciousOperation, "malformed"),
)


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """Answer any exception of a view; what nobody foresaw is a 500 without any detail."""
    problem = _problem_of(error, context)
    response = Response(document(problem), status=problem.status, content_type=CONTENT_TYPE)
    for name, value in _headers(error, problem).items():
        response[name] = value
    return response


def document(problem: Problem) -> dict[str, Any]:
    """The members of the answer. `title` is the code's own; `detail` is about this occurrence."""
    meaning = CATALOGUE.get(problem.code)
    document: dict[str, Any] = {
        "type": f"{PROBLEMS_PATH}{problem.code}",
        "title": meaning.title if meaning else problem.title,
        "status": problem.status,
        "detail": _sendable(f"{problem.title} {problem.action}".strip()),
        "code": problem.code,
    }
    if problem.errors:
        document["errors"] = {_sendable(k): _sendable(v) for k, v in problem.errors.items()}
    return document | getattr(problem, "members", {})


def _sendable(text: str) -> str:
    """JSON can name half a character (`"\\ud800"`), UTF-8 cannot carry it: repeat it as a name."""
    return text.encode("utf-8", "backslashreplace").decode()


def flatten(detail: object, where: str = "") -> Iterator[tuple[str, str]]:
    """DRF's nested error detail as (field, text) pairs; a field inside another reads `a.b`."""
    if isinstance(detail, Mapping):
        for key, inner in detail.items():
            name = "" if key == "non_field_errors" else str(key)
            yield from flatten(inner, ".".join(part for part in (where, name) if part))
    elif isinstance(detail, list) and any(isinstance(each, list | dict) for each in detail):
        for place, inner in enumerate(detail):
            if inner:
                yield from flatten(inner, f"{where}.{place}")
    elif isinstance(detail, list):
        yield where or "body", " ".join(str(each) for each in detail)
    else:
        yield where or "body", str(detail)


def _problem_of(error: Exception, context: dict[str, Any]) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, exceptions.ValidationError):
        return Invalid(dict(flatten(error.detail)))
    if isinstance(error, exceptions.NotAuthenticated):
        request = context.get("request")
        sent = request is not None and "Authorization" in request.headers
        return ApiProblem("invalid_token" if sent else "not_authenticated")
    for kind, code in _DRF_CODES:
        if isinstance(error, kind):
            return ApiProblem(code)
    for django_kind, code in _DJANGO_CODES:
        if isinstance(error, django_kind):
            return ApiProblem(code)
    _log(error, context)
    return ApiProblem("internal")


def _headers(error: Exception, problem: Problem) -> dict[str, str]:
    headers = dict(getattr(problem, "headers", {}))
    challenge = getattr(error, "auth_header", None)
    if challenge:
        headers["WWW-Authenticate"] = challenge
    if problem.code in RETRY_AFTER_SECONDS:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS[problem.code])
    return headers


def _log(error: Exception, context: dict[str, Any]) -> None:
    # Where it happened, not what the exception says: a driver's text may hold a subject's row.
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    logger.error(
        "unforeseen error in the API",
        error=type(error).__name__,
        view=type(context.get("view")).__name__,
        at=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    )
