"""Reading a parsed study file that may be wrong anywhere: nothing here raises."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from iwrs.definition.problem import Loc, step_into

Document = Mapping[str, Any]
Row = tuple[Loc, Mapping[str, Any]]


def at(document: Document, *loc: str | int) -> Any:
    value: Any = document
    for step in loc:
        value = step_into(value, step)
    return value


def rows(document: Document, *loc: str | int) -> list[Row]:
    entries = at(document, *loc)
    if not isinstance(entries, list | tuple):
        return []
    return [((*loc, i), entry) for i, entry in enumerate(entries) if isinstance(entry, Mapping)]


def number(document: Document, *loc: str | int) -> int | None:
    value = at(document, *loc)
    return value if type(value) is int else None


def inner(document: Document, table: str, key: str) -> Iterator[Loc]:
    for loc, _ in rows(document, table):
        yield (*loc, key)
