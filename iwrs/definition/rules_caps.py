"""Rules of caps: each names what the study knows, and can be told from the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from iwrs.definition.problem import Finding, show
from iwrs.definition.reading import Document, rows


def _levels_known(document: Document) -> Iterator[Finding]:
    levels = {
        factor["key"]: [row.get("key") for _, row in rows(document, *loc, "levels")]
        for loc, factor in rows(document, "factors")
        if isinstance(factor.get("key"), str)
    }
    for loc, cap in rows(document, "caps"):
        where = cap.get("where")
        for factor, chosen in where.items() if isinstance(where, Mapping) else ():
            here = (*loc, "where", factor)
            if factor not in levels:
                message = f"must be the key of a factor: {', '.join(levels) or 'none is defined'}"
                yield Finding(here, factor, message)
                continue
            for i, level in enumerate(chosen if isinstance(chosen, list | tuple) else ()):
                if level not in levels[factor]:
                    known = ", ".join(show(each) for each in levels[factor])
                    yield Finding((*here, i), level, f"must be a level of {factor}: {known}")


def _each_of_many(document: Document) -> Iterator[Finding]:
    """A limit for each of one: the author meant something else."""
    for loc, cap in rows(document, "caps"):
        for each, key in (("centre", "centres"), ("country", "countries")):
            named = cap.get(key)
            if cap.get("each") == each and isinstance(named, list | tuple) and len(named) == 1:
                message = f"{key} names one only, so leave this out"
                yield Finding((*loc, "each"), each, message)


CAP_RULES = (_levels_known, _each_of_many)
