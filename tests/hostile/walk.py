"""Every form of a site, found by reading its pages as a browser does.

A new page or field is covered because it is there: nothing is listed by hand but how to make one
object of each kind.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import pyrage
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from iwrs import clock

PASSWORD = "correct horse battery staple"  # of `factories.a_user`

# What honest people type where not any text will do. A field that has a value keeps it.
_TYPED = {
    "arm": "EVE",
    "commitment": "5" * 64,
    "public_key": str(pyrage.x25519.Identity.generate().to_public()),
    "seed": "1",
}

# What may change although an act was refused: a wrong password is counted and recorded, a session
# is used, and a code break that was refused is recorded.
_UNWATCHED_TABLES = (
    *(
        f"{schema}.{table}"
        for schema in ("public", "unblinded")
        for table in ("django_session", "accounts_signinevent", "signatures_signingstate")
    ),
    "public.randomization_codebreakrefusal",
)
_UNWATCHED_COLUMNS = ["failed_attempts", "locked_until", "last_login"]


@dataclass(frozen=True)
class Page:
    """A named address, and the parameters in it."""

    name: str
    parameters: frozenset[str]


@dataclass
class Field:
    """One input of a form as the browser shows it. `values` are what a browser could send."""

    name: str
    kind: str
    values: list[str] = field(default_factory=list)

    @property
    def free(self) -> bool:
        """People type into it; it is no choice, day or hidden value."""
        return self.kind in {"text", "textarea", "search"}


@dataclass
class Form:
    """One form at an address, with the browser of a person who may send it."""

    page: str
    address: str
    fields: list[Field]
    send: Callable[[str, dict[str, Any]], HttpResponse]
    open: Callable[..., HttpResponse]
    person: str = ""  # e-mail address of whose browser it is

    def typed(self, **changes: str) -> dict[str, Any]:
        """What an honest person would send, but for `changes`."""
        honest = {each.name: _honest(each) for each in self.fields}
        if "signer" in honest:
            honest["signer"] = self.person
        return {k: v for k, v in (honest | changes).items() if v is not None}

    def post(self, typed: dict[str, Any]) -> HttpResponse:
        return self.send(self.address, typed)


def pages(resolver: Any = None, outer: frozenset[str] = frozenset()) -> Iterator[Page]:
    """Every address of the site in force but the API's."""
    for each in (resolver or get_resolver()).url_patterns:
        parameters = outer | set(each.pattern.converters)
        if isinstance(each, URLResolver):
            if str(each.pattern) != "api/":
                yield from pages(each, parameters)
        elif isinstance(each, URLPattern):
            yield Page(str(each.name), parameters)


def address_of(page: Page, known: dict[str, Any]) -> str:
    """An address of the page. `known` maps a page's name, or a parameter's, to its value."""
    values = {name: known[name] for name in page.parameters}
    if "pk" in values:
        values["pk"] = known.get(page.name, known["pk"])
    return reverse(page.name, kwargs=values)


def forms_at(page: str, address: str, browser: Any) -> list[Form]:
    """The forms that the page at `address` shows to this browser, but for signing out."""
    return forms_in(browser.get(address), page, browser, address)


def forms_in(
    answer: Any, page: str, browser: Any, address: str = "", *, method: str = "post"
) -> list[Form]:
    """The forms of a page that was answered. `address` (default: `page`) is where it was."""
    if answer.status_code != 200 or "text/html" not in answer.headers.get("Content-Type", ""):
        return []
    reader = _Forms()
    reader.feed(answer.content.decode())
    return [
        Form(page, target or address or page, fields, browser.post, browser.get, _email(browser))
        for how, target, fields in reader.forms
        if how == method and target != reverse("sign-out")
    ]


def _email(browser: Any) -> str:
    return str(getattr(browser, "person", ""))


def all_forms(addresses: Iterable[tuple[str, str]], browsers: Iterable[Any]) -> list[Form]:
    """The forms of each page, once, as the first person sees them who is shown any.

    Where a page has several addresses, the one at which an honest person's form is accepted.
    """
    known = list(browsers)
    found: dict[str, list[Form]] = {}
    for page, address in addresses:
        if page in found and accepted(found[page][0]):
            continue
        shown = (forms_at(page, address, each) for each in known)
        forms = next((forms for forms in shown if forms), [])
        if forms and (page not in found or accepted(forms[0])):
            found[page] = forms
    return [form for forms in found.values() for form in forms]


@dataclass
class Opened:
    """A page, as the first person reads it to whom it is shown."""

    page: str
    address: str
    browser: Any
    searches: list[Form]


def opened(addresses: Iterable[tuple[str, str]], browsers: Iterable[Any]) -> list[Opened]:
    """Each page that anybody is shown, with the searches on it."""
    known, found = list(browsers), []
    for page, address in addresses:
        for browser in known:
            answer = browser.get(address)
            if answer.status_code == 200:
                searches = forms_in(answer, page, browser, address, method="get")
                found.append(Opened(page, address, browser, searches))
                break
    return found


def accepted(form: Form) -> bool:
    """True when what an honest person would type is accepted. Nothing of it stays."""
    with undone():
        return form.post(form.typed()).status_code == 302


@contextmanager
def undone() -> Iterator[None]:
    """Take back whatever is done inside. Acts may still open their durable transaction."""
    block = transaction.atomic()
    block._from_testcase = True  # type: ignore[attr-defined]
    with block:
        yield
        transaction.set_rollback(True)


def state_of_the_database(*, but: Iterable[str] = ()) -> str:
    """A hash over every row that the present role can read, without the tables `but`."""
    unwatched = {*_UNWATCHED_TABLES, *but}
    tables = [each for each in _readable_tables() if each not in unwatched]
    rows = " UNION ALL ".join(
        f"SELECT '{each}' || (to_jsonb(t) - %s::text[])::text AS line FROM {each} t"
        for each in tables
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT md5(string_agg(line, '' ORDER BY line)) FROM ({rows}) every_row",
            [_UNWATCHED_COLUMNS] * len(tables),
        )
        return str(cursor.fetchone()[0])


def stored(text: str) -> bool:
    """True when some text, also inside JSON, of a table that the role can read holds `text`."""
    found = " UNION ALL ".join(
        f"SELECT v #>> '{{}}' AS line FROM {each} t,"
        " jsonb_path_query(to_jsonb(t), 'strict $.** ? (@.type() == \"string\")') v"
        for each in _readable_tables()
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT bool_or(strpos(line, %s) > 0) FROM ({found}) every_text", [text])
        return bool(cursor.fetchone()[0])


def _readable_tables() -> list[str]:
    """Tables of both schemas that the present role may read, as the catalogue quotes them."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
            " WHERE schemaname IN ('public', 'unblinded')"
            " AND has_schema_privilege(schemaname, 'USAGE')"
            " AND has_table_privilege(format('%I.%I', schemaname, tablename), 'SELECT')"
            " ORDER BY 1"
        )
        return [row[0] for row in cursor.fetchall()]


def signed_in(user: Any) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user)
    client.person = user.email  # type: ignore[attr-defined]
    return client


def _honest(each: Field) -> str | None:
    if each.kind == "password":
        return PASSWORD
    if each.kind == "file":
        return None
    if each.values:
        return next((value for value in each.values if value), "")
    return _TYPED.get(each.name) or {
        "email": "new.person@example.org",
        "number": "1",
        "date": clock.today("Europe/Paris").isoformat(),  # where the centres of the tests are
        "time": "00:00",
        "datetime-local": f"{clock.now():%Y-%m-%dT%H:%M}",
    }.get(each.kind, "Honest text")


class _Forms(HTMLParser):
    """Collects (method, action, fields) of each form."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[tuple[str, str, list[Field]]] = []
        self._select: Field | None = None
        self._area: Field | None = None
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = True
            self.forms.append((told.get("method", "get").lower(), told.get("action", ""), []))
        elif not self._inside:
            return
        elif tag == "option" and self._select is not None:
            self._select.values.append(told.get("value", ""))
        elif tag in {"input", "textarea", "select"} and "name" in told:
            self._take(tag, told)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        if tag == "select":
            self._select = None
        if tag == "textarea":
            self._area = None

    def handle_data(self, data: str) -> None:
        if self._area is not None and data.strip():
            self._area.values.append(data.strip())

    def _take(self, tag: str, told: dict[str, str]) -> None:
        if told["name"] == "csrfmiddlewaretoken":
            return
        kind = told.get("type", "text") if tag == "input" else tag
        fields = self.forms[-1][2]
        found = next((each for each in fields if each.name == told["name"]), None)
        if found is None:
            found = Field(told["name"], kind)
            fields.append(found)
        if "value" in told:
            found.values.append(told["value"])
        self._select = found if tag == "select" else None
        self._area = found if tag == "textarea" else None
