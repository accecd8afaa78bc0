"""The outermost layers of both sites: what every answer carries, and what is not read at all."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from iwrs.acts import one_request
from iwrs.problems import Problem
from iwrs.views import as_document, for_machines, too_large, unreadable

Answer = Callable[[HttpRequest], HttpResponse]

_NO_DEVICES = ("camera", "display-capture", "geolocation", "microphone", "midi", "payment", "usb")
# Passkeys need these; no frame could use them, since nothing may frame us.
_PASSKEYS = ("publickey-credentials-create", "publickey-credentials-get")
_PERMISSIONS = ", ".join(
    [*(f"{name}=()" for name in _NO_DEVICES), *(f"{name}=(self)" for name in _PASSKEYS)]
)


class AnswerHeaders:
    """Headers that Django's own middleware does not set, on whatever leaves: pages, files, errors.

    Answers to systems hold subjects' data and are kept by no cache; pages say so themselves.
    """

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Permissions-Policy", _PERMISSIONS)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        if for_machines(request):
            response.headers.setdefault("Cache-Control", "no-store")
        return response


class OneRequest:
    """Tie all acts of one request together in the audit trail. No answer has a header for it."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with one_request():
            return self.get_response(request)


class ReadableRequests:
    """Refuse, before anything reads or stores it, what no browser or EDC system of ours sends.

    - A body above `REQUEST_MAX_BYTES`. The rest of it is never read, and a file in it never
      reaches the disk: Django's own limit leaves uploaded files out.
    - A length that is no number.
    - A NUL in a cookie, or in the address of a page. PostgreSQL stores no NUL, so it could only
      fail later. The API names the field itself.
    """

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        problem = _unreadable(request)
        if problem is None:
            return self.get_response(request)
        if for_machines(request):
            return as_document(problem)
        # No request: the page of a refused request asks the database nothing.
        return render(None, "problem.html", {"problem": problem}, status=problem.status)


def _unreadable(request: HttpRequest) -> Problem | None:
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdigit()):
        return unreadable()
    if int(length[:20]) > settings.REQUEST_MAX_BYTES:
        return too_large()
    if any("\0" in value for value in request.COOKIES.values()):
        return unreadable()
    address = request.path + request.META.get("QUERY_STRING", "")
    if not for_machines(request) and ("\0" in address or "%00" in address):
        return unreadable()
    return None
