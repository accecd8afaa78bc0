"""Leaks to plant: each tells the arm by another channel, and the comparison has to see each.

A leak is a context manager, given the name of the database in use: it changes the product (a
function of Python's or a gate's SQL) for a block of code. `LOOKING` are leaks of pages and answers,
which are here; `PLAYING` are leaks of what acts, the supply, letters and the log leave behind: see
`leaks_of_acts`.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import patch

import structlog
from django.core.handlers.base import BaseHandler
from django.db import connection
from django.db.models import Case, Value, When

from enrolment.models import Subject
from tests.blinding import coupled

Leak = Callable[[str], AbstractContextManager[Any]]
LOOKING: dict[str, Leak] = {}
PLAYING: dict[str, Leak] = {}
ARM = "PBO"  # the arm that a leak tells


def arms(database: str) -> set[int]:
    """Keys of the subjects who have the arm, asked past every barrier."""
    with coupled.login("owner", database) as owner:
        rows = owner.execute("SELECT subject_id FROM unblinded.allocation WHERE arm = %s", [ARM])
        return {subject for (subject,) in rows}


def leak(kind: dict[str, Leak], name: str) -> Callable[[Any], Any]:
    def register(function: Any) -> Any:
        kind[name] = contextmanager(function)
        return function

    return register


@contextmanager
def answers_changed(database: str, change: Callable[[Any, Any], Any]) -> Iterator[None]:
    """Change the server's answer to each request about a subject who has the arm."""
    told = arms(database)
    numbers = dict(Subject.objects.values_list("number", "pk"))
    get_response = BaseHandler.get_response

    def answer(self: Any, request: Any) -> Any:
        response = get_response(self, request)
        page = re.search(r"/subjects/(\d{4}-\d+|\d+)", request.path)
        pk = page and (numbers.get(page[1]) or int(page[1].replace("-", "")))
        return change(request, response) if pk in told else response

    with patch.object(BaseHandler, "get_response", answer):
        yield


def _appended(text: bytes) -> Callable[[Any, Any], Any]:
    def change(request: Any, response: Any) -> Any:
        if response.status_code == 200:
            response.content += text
            response.headers["Content-Length"] = str(len(response.content))
        return response

    return change


@leak(LOOKING, "a comment in the page")
def _(database: str) -> Iterator[None]:
    with answers_changed(database, _appended(b"<!-- PBO -->")):
        yield


@leak(LOOKING, "one space more")
def _(database: str) -> Iterator[None]:
    with answers_changed(database, _appended(b" ")):
        yield


@leak(LOOKING, "a letter in place of another, of the same length")
def _(database: str) -> Iterator[None]:
    def change(request: Any, response: Any) -> Any:
        response.content = response.content.replace(b"Subject", b"subject", 1)
        return response

    with answers_changed(database, change):
        yield


@leak(LOOKING, "a header")
def _(database: str) -> Iterator[None]:
    def change(request: Any, response: Any) -> Any:
        response.headers["X-Kit-Type"] = "2"
        return response

    with answers_changed(database, change):
        yield


@leak(LOOKING, "how long a page may be cached")
def _(database: str) -> Iterator[None]:
    def change(request: Any, response: Any) -> Any:
        response.headers["Cache-Control"] = "no-store, private, max-age=0"
        return response

    with answers_changed(database, change):
        yield


@leak(LOOKING, "a cookie")
def _(database: str) -> Iterator[None]:
    def change(request: Any, response: Any) -> Any:
        response.set_cookie("seen", "1")
        return response

    with answers_changed(database, change):
        yield


@leak(LOOKING, "the status of a refusal")
def _(database: str) -> Iterator[None]:
    def change(request: Any, response: Any) -> Any:
        if response.status_code == 302:
            response.status_code = 307
        elif response.status_code == 404:
            response.status_code = 403
        return response

    with answers_changed(database, change):
        yield


@leak(LOOKING, "one query more")
def _(database: str) -> Iterator[None]:
    told = arms(database)
    init = Subject.from_db.__func__  # type: ignore[attr-defined]

    def from_db(cls: Any, db: Any, names: Any, values: Any) -> Any:
        made = init(cls, db, names, values)
        if made.pk in told:
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        return made

    with patch.object(Subject, "from_db", classmethod(from_db)):
        yield


@leak(LOOKING, "another query, as many")
def _(database: str) -> Iterator[None]:
    told = arms(database)

    def comment(execute: Any, sql: Any, params: Any, many: Any, context: Any) -> Any:
        about = isinstance(params, tuple | list) and told & {p for p in params if type(p) is int}
        return execute(f"{sql} -- arm" if about else sql, params, many, context)

    with connection.execute_wrapper(comment):
        yield


@leak(LOOKING, "the order of a list")
def _(database: str) -> Iterator[None]:
    from trial import views

    narrowed = views._narrowed
    first = Case(When(pk__in=arms(database), then=Value(0)), default=Value(1))
    with patch.object(views, "_narrowed", lambda *a: narrowed(*a).order_by(first, "number")):
        yield


@leak(LOOKING, "which answers the log speaks of")
def _(database: str) -> Iterator[None]:
    def change(request: Any, response: Any) -> Any:
        structlog.get_logger("trial").info("answered", code=response.status_code)
        return response

    with answers_changed(database, change):
        yield


@leak(LOOKING, "the form of a number in the API")
def _(database: str) -> Iterator[None]:
    def change(request: Any, response: Any) -> Any:
        if request.path.startswith("/api/"):
            response.content = response.content.replace(b'":', b'": ')
        return response

    with answers_changed(database, change):
        yield
