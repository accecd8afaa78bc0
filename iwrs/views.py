"""Pages that belong to no room: health, and what a person sees when something is wrong."""

from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache

from iwrs.api.problems import CONTENT_TYPE, document
from iwrs.problems import Problem

_TOO_LARGE = (RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent)


@never_cache
def health(request: HttpRequest) -> HttpResponse:
    """200 when the process answers and reaches its database, else 503. Says nothing more."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return JsonResponse({"status": "no database"}, status=503)
    return JsonResponse({"status": "ok"})


def for_machines(request: HttpRequest) -> bool:
    """True for what is sent to the API: its answers are documents, not pages."""
    return request.path.startswith("/api/")


def as_document(problem: Problem) -> HttpResponse:
    """A problem as application/problem+json, for what fails outside the API's own views."""
    return JsonResponse(document(problem), status=problem.status, content_type=CONTENT_TYPE)


def problem_page(request: HttpRequest, problem: Problem) -> HttpResponse:
    """A refused act that has no form to stand beside."""
    if for_machines(request):
        return as_document(problem)
    return render(request, "problem.html", {"problem": problem}, status=problem.status)


def unreadable() -> Problem:
    """400: what was sent is no request that anything here could serve."""
    return Problem(
        code="malformed",
        title="This request could not be read.",
        action="Nothing was saved. Go back and try again.",
        status=400,
    )


def too_large() -> Problem:
    """413: more bytes, fields or files than any page or operation takes."""
    return Problem(
        code="too_large",
        title="This is too much for one request.",
        action="Nothing was saved. Send less at once.",
        status=413,
    )


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400, or 413 when Django found the request to be too large."""
    return problem_page(request, too_large() if isinstance(exception, _TOO_LARGE) else unreadable())


def refused(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403: the person sees the place, but the role does not include the act."""
    return problem_page(
        request,
        Problem(
            code="forbidden",
            title=str(exception or "") or "Your role does not include this.",
            action="If you need it for your work, ask the study manager.",
            status=403,
        ),
    )


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404, the same for what does not exist and for what is another centre's."""
    return problem_page(
        request,
        Problem(
            code="not_found",
            title="This page was not found.",
            action="It may be at another centre, or the address may be wrong.",
            status=404,
        ),
    )


def failed(request: HttpRequest) -> HttpResponse:
    """500, without a word on the cause: the text of an error could tell what it must not."""
    problem = Problem(
        code="failed",
        title="Something went wrong on our side.",
        action="Nothing was saved by this step. Please try again, or call the help desk.",
        status=500,
    )
    # No request: context processors read the database, which may be what failed.
    return render(None, "problem.html", {"problem": problem}, status=500)


def csrf_refused(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form that was open too long, or was not sent from our own page."""
    return problem_page(
        request,
        Problem(
            code="form_expired",
            title="This form is too old.",
            action="Nothing was saved. Open the page again, and send it once more.",
            status=403,
        ),
    )
