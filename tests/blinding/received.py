"""Everything that a blinded person or system receives of a study, captured as plain data.

Pages are found as a reader finds them: by the links of the pages before, for each person, and
besides every named address of the site, at objects that exist, whoever may see it. Nothing here
lists today's pages. Each answer is kept with its headers, its length, the number of queries and a
hash of their texts.
"""

import hashlib
import io
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

import redis
import structlog
from django.db import connection
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from enrolment.models import Subject
from iwrs.accounts.models import User
from iwrs.models import Study
from tests.api.client import Edc
from tests.blinding import allowed
from tests.hostile.walk import Form, forms_in, undone
from tests.portal.test_scope import MORE

FORMS = 2  # of each kind that a person sends, where nothing else is said
_NEXT = re.compile(r'"next": ?"([^"]+)"')
_FOREIGN = ("/static/", "/api/", "/sign-out/")
_SAVEPOINT = re.compile(r"\bs\d+_x\d+\b")  # Django's name has the number of the thread in it


class Statements:
    """The texts of the queries of one answer: PostgreSQL's log of them would show as much."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
        self.texts.append(_SAVEPOINT.sub("<savepoint>", str(sql)))
        return execute(sql, params, many, context)

    def digest(self) -> str:
        return hashlib.sha256("\n".join(self.texts).encode()).hexdigest()[:16]


class Reader:
    """One person's browser, or a stranger's. It keeps what it was answered by address."""

    def __init__(self, user: User | None, ciphertexts: tuple[str, ...], forms: int = FORMS) -> None:
        self.browser = Client(headers={"host": "localhost"}, raise_request_exception=False)
        if user is not None:
            self.browser.force_login(user, backend="iwrs.accounts.backend.PasswordBackend")
        self.ciphertexts = ciphertexts
        self.received: dict[str, Any] = {}
        self._forms: dict[str, Form] = {}
        self._most = forms

    def get(self, path: str) -> Any:
        if f"GET {path}" not in self.received:
            answer = self._kept(f"GET {path}", lambda: self.browser.get(path))
            if answer.status_code == 200 and "text/html" in answer.headers["Content-Type"]:
                self._remember_forms(path, answer)
            return answer
        return None

    def _remember_forms(self, path: str, page: Any) -> None:
        for form in forms_in(page, path, self.browser):
            kind = re.sub(r"\d+", "", form.address)
            if len([each for each in self._forms if kind == re.sub(r"\d+", "", each)]) < self._most:
                self._forms.setdefault(form.address, form)

    def send_forms(self) -> None:
        """Send each form that was shown, some of each kind, as an honest person, and take it back.

        Whatever a gate counts although it was taken back is counted in both plays.
        """
        for address, form in self._forms.items():
            with undone():
                typed = form.typed()
                self._kept(f"POST {address}", partial(self.browser.post, address, typed))

    def _kept(self, name: str, ask: Any) -> Any:
        statements = Statements()
        with connection.execute_wrapper(statements):
            answer = ask()
        if not (allowed.DOOR.match(name) and answer.status_code == 200):
            self.received[name] = described(answer, statements, self.ciphertexts)
        return answer

    def crawl(self, limit: int, start: str = "/") -> None:
        """Follow every link and every filter from the first page."""
        waiting, known = [start], {start}
        while waiting and len(self.received) < limit:
            answer = self.get(waiting.pop(0))
            if answer and "text/html" in answer.headers.get("Content-Type", ""):
                found = links(answer.content.decode(), start)
                waiting += [path for path in found if path not in known]
                known |= set(found)


def described(answer: Any, statements: Statements, ciphertexts: tuple[str, ...]) -> dict[str, Any]:
    """An answer as data: masked, but with its true length."""
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    if content.startswith(allowed.SEALED):
        content = allowed.SEALED + bytes(len(content) - len(allowed.SEALED))
    try:
        body = allowed.masked(content.decode(), ciphertexts)
    except UnicodeDecodeError:
        body = hashlib.sha256(content).hexdigest()
    return {
        "status": answer.status_code,
        "headers": {name: allowed.masked(value) for name, value in sorted(answer.headers.items())},
        "cookies": [allowed.cookie(each.OutputString()) for each in answer.cookies.values()],
        "body": body,
        "length": len(content),
        "queries": len(statements.texts),
        "statements": statements.digest(),
    }


def links(page: str, base: str) -> list[str]:
    """Addresses of this site that a page leads to by GET, each once, in order."""
    reader = _Links(base)
    reader.feed(page)
    return list(dict.fromkeys(path for path in reader.found if not path.startswith(_FOREIGN)))


class _Links(HTMLParser):
    def __init__(self, base: str) -> None:
        super().__init__()
        self.base, self.found = base, list[str]()
        self._form: str | None = None
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        for name in ("href", "hx-get"):
            if tag in {"a", "button", "div", "form", "tr"} and name in told:
                self._add(told[name])
        if tag == "form" and told.get("method", "get").lower() == "get":
            self._form = told.get("action", "")
        elif tag == "select":
            self._select = told.get("name", "")
        elif tag == "option" and self._form is not None and self._select:
            self._add(f"{self._form}?{urlencode({self._select: told.get('value', '')})}")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None

    def _add(self, target: str) -> None:
        split = urlsplit(urljoin(self.base, target))
        if not split.netloc and split.path.startswith("/"):
            self.found.append(split.path + (f"?{split.query}" if split.query else ""))


def addresses(study: Study) -> list[str]:
    """Every address of the portal, its parameters filled in with objects that exist."""
    found = []
    for route, name in _routes():
        values = {"code": [study.code], "who": ["none"], "token": ["none"]}
        values |= {key: [value] for key, value in MORE.get(name, {}).items()}
        for number in _keys(route.split("<int:pk>")[0]) if "<int:pk>" in route else [0]:
            path = route
            for key, known in {**values, "pk": [str(number)]}.items():
                for kind in ("int", "slug", "str", "uuid", "path"):
                    path = path.replace(f"<{kind}:{key}>", known[0])
            found.append("/" + _rest_filled(path))
    return [path for path in dict.fromkeys(found) if not path.startswith(_FOREIGN)]


def _routes(resolver: Any = None, before: str = "") -> Iterator[tuple[str, str]]:
    for each in (resolver or get_resolver()).url_patterns:
        route = before + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from _routes(each, route)
        elif isinstance(each, URLPattern):
            yield route, str(each.name)


def _rest_filled(path: str) -> str:
    """A parameter that nobody thought of: 1 is a number, a text and a slug."""
    while "<" in path:
        path = path[: path.index("<")] + "1" + path[path.index(">") + 1 :]
    return path


def _keys(prefix: str) -> list[int]:
    """First and last key of the table that an address begins with, else of all tables."""
    word = prefix.strip("/").rpartition("/")[2].replace("-", "").rstrip("s")
    tables = [
        table
        for table in connection.introspection.table_names()
        if table.rpartition("_")[2].startswith(word)
    ]
    keys: list[int] = []
    with connection.cursor() as cursor:
        for table in sorted(tables):
            if "event" in table and word != "event":
                continue
            columns = {
                c.name for c in connection.introspection.get_table_description(cursor, table)
            }
            if "id" in columns:
                cursor.execute(f'SELECT min(id), max(id) FROM "{table}"')
                keys += [key for key in cursor.fetchone() if isinstance(key, int)]
    return sorted(set(keys)) or [1]


def pages(
    study: Study,
    people: Sequence[User | None],
    ciphertexts: tuple[str, ...],
    limit: int,
    everywhere: Callable[[User | None], bool],
    forms: int = FORMS,
) -> dict[str, Reader]:
    """What each person (None: a stranger) is shown, by links up to `limit` pages.

    So many `forms` of each kind are kept of these pages, to be sent.
    Who is sent `everywhere` tries every address of the site besides.
    """
    readers = {}
    for person in people:
        reader = Reader(person, ciphertexts, forms)
        reader.crawl(limit)
        for path in addresses(study) if everywhere(person) else ():
            reader.get(path)
        readers[person.email if person else "a stranger"] = reader
    return readers


def api(study: Study, edc: Edc, *, subjects: int | None = None) -> Any:
    """Every GET operation of the API for every subject (or so many), each page of each list."""
    document = edc.get("openapi.json").json()
    numbers = Subject.objects.filter(study=study).order_by("pk").values_list("number", flat=True)
    shown = {}
    paths = [path for path, methods in document["paths"].items() if "get" in methods]
    every = [
        path.replace("{number}", number).replace("{n}", n)
        for path in paths
        for number in (numbers[:subjects] if "{number}" in path else [""])
        for n in (("0", "1", "2") if "{n}" in path else [""])
    ]
    while every:
        path = every.pop(0)
        statements = Statements()
        with connection.execute_wrapper(statements):
            answer = edc.http.get(path, headers=edc.headers(None))
        shown[path] = described(answer, statements, ())
        if following := _NEXT.search(answer.content.decode()):
            target = urlsplit(following[1])
            every.append(f"{target.path}?{target.query}")
    return shown


class Log:
    """Log lines of the blinded processes, as they would be written."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.silent = False  # while the unblinded side works, whose log blinded people do not read

    def emit(self, line: str) -> None:
        if not self.silent:
            self.lines.append(allowed.masked(line))


@contextmanager
def logged() -> Iterator[Log]:
    """Collect what is logged meanwhile, written by the project's own formatter."""
    root = logging.getLogger()
    formatter = next(
        each.formatter
        for each in root.handlers
        if isinstance(each.formatter, structlog.stdlib.ProcessorFormatter)
    )
    log = Log()

    class Handler(logging.StreamHandler):  # type: ignore[type-arg]
        def emit(self, record: logging.LogRecord) -> None:
            log.emit(self.format(record))

    handler = Handler(io.StringIO())
    handler.setFormatter(formatter)
    root.addHandler(handler)
    try:
        yield log
    finally:
        root.removeHandler(handler)


def in_redis(url: str) -> dict[str, Any]:
    """Names of all keys, and the values of those that the blinded Redis user may read."""
    with redis.Redis.from_url(url) as client:
        shown: dict[str, Any] = {}
        for key in sorted(client.scan_iter(count=1000)):
            try:
                kind = client.type(key)
                shown[key.decode()] = [allowed.masked(each) for each in _value(client, key, kind)]
            except redis.exceptions.NoPermissionError:
                shown[key.decode()] = "not readable"
        return shown


def _value(client: Any, key: bytes, kind: bytes) -> list[str]:
    if kind == b"list":
        return [each.decode() for each in client.lrange(key, 0, -1)]
    if kind == b"set":
        return sorted(each.decode() for each in client.smembers(key))
    if kind == b"hash":
        return sorted(f"{k!r} {v!r}" for k, v in client.hgetall(key).items())
    if kind == b"zset":
        return [repr(each) for each in client.zrange(key, 0, -1)]
    return [str(client.get(key))]
