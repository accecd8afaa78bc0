"""Reading the audit trail: filtered, newest first, a page at a time by key.

No query counts or walks the whole trail: each table gives its newest rows that fit, by an index on
the time, and the newest of them make the page.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import OperationalError, connection, transaction

from iwrs.models import Study
from iwrs.problems import Problem
from trial.audit.narrowing import Filter, Place
from trial.audit.queries import accounts_called, fits, newest, rows_of
from trial.audit.sources import Source, sources
from trial.audit.words import SLOWEST

LINES_A_PAGE = 50


@dataclass
class Event:
    """One row of the trail, with the row before it of the same object."""

    source: Source
    id: int
    at: datetime
    label: str
    context: dict[str, Any]
    subject_id: int | None
    centre_id: int | None
    request: str  # the same for all that one request did; empty for a record of a task
    now: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] | None = None

    @property
    def place(self) -> Place:
        return Place(self.at, self.source.key, self.id)


def page_of(
    wanted: Filter, *, before: Place | None = None, size: int = LINES_A_PAGE
) -> list[Event]:
    """The newest `size` events that fit and are older than `before`, newest first."""
    asked = {each.key: each for each in sources() if fits(each, wanted)}
    branches, parameters = [], []
    for source in asked.values():
        sql, values = newest(source, wanted, before, size)
        branches.append(f"({sql})")
        parameters += values
    if not branches:
        return []
    every = " UNION ALL ".join(branches)
    query = f"SELECT * FROM ({every}) e ORDER BY at DESC, source DESC, id DESC LIMIT %s"  # noqa: S608
    with _patience(), connection.cursor() as cursor:
        cursor.execute(query, [*parameters, size])
        rows = cursor.fetchall()
        events = [Event(asked[key], row, at, label, _read(context) or {}, subject, centre, request)
                  for key, at, row, label, context, subject, centre, request in rows]  # fmt: skip
        _read_rows(cursor, events)
    return events


def all_of(wanted: Filter, *, at_once: int = 500) -> Iterator[list[Event]]:
    """Every event that fits, newest first, some at a time."""
    before = None
    while events := page_of(wanted, before=before, size=at_once):
        yield events
        if len(events) < at_once:
            return
        before = events[-1].place


def accounts_of(study: Study, text: str) -> tuple[int, ...]:
    """Keys of the study's accounts of this side whose name or e-mail address has, or once had, the
    text in it. A whole address is that account alone, also when it ends a longer one."""
    with connection.cursor() as cursor:
        cursor.execute(*accounts_called(study, text))
        found = cursor.fetchall()
    exact = {key for key, email in found if email.lower() == text.lower()}
    return tuple(sorted(exact or {key for key, _ in found}))


def _read_rows(cursor: Any, events: list[Event]) -> None:
    """Give the events their values, and those of the row before: one query for all tables."""
    by_source: dict[str, dict[int, Event]] = {}
    for each in events:
        by_source.setdefault(each.source.key, {})[each.id] = each
    if not by_source:
        return
    sources_read = [next(iter(each.values())).source for each in by_source.values()]
    query = " UNION ALL ".join(rows_of(each) for each in sources_read)
    cursor.execute(query, [list(each) for each in by_source.values()])
    for key, row, now, before in cursor.fetchall():
        event = by_source[key][row]
        event.now, event.before = _read(now), _read(before)


def _read(text: Any) -> Any:
    """JSON comes from the database as text."""
    return json.loads(text) if isinstance(text, str) else text


class _patience:
    """A transaction in which a query that takes too long is ended, and said in words."""

    def __init__(self) -> None:
        self._block = transaction.atomic()

    def __enter__(self) -> None:
        self._block.__enter__()
        with connection.cursor() as cursor:
            limit = f"{int(SLOWEST.total_seconds())}s"
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [limit])

    def __exit__(self, kind: Any, problem: Any, trace: Any) -> None:
        self._block.__exit__(kind, problem, trace)
        if isinstance(problem, OperationalError) and (
            getattr(problem.__cause__, "sqlstate", "") == "57014"
        ):
            raise Problem(
                code="search_too_wide",
                title="This search takes too long.",
                action="Give a subject, or fewer days, and search again.",
                status=422,
            ) from None
