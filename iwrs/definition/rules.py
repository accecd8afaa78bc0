"""Rules that more than one key of a study definition must keep together.

The rules read the parsed document, not the model, and step over whatever is missing or of the
wrong kind: so they still run when single keys are wrong, and all problems are reported at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from iwrs.definition.problem import Finding, Loc, dotted
from iwrs.definition.reading import Document, Row, at, inner, rows
from iwrs.definition.rules_caps import CAP_RULES
from iwrs.definition.rules_design import DESIGN_RULES
from iwrs.definition.rules_supply import SUPPLY_RULES
from iwrs.definition.wording import comparable


def broken_rules(document: Document) -> list[Finding]:
    """Everything in the parsed document that contradicts something else in it."""
    return [finding for rule in _RULES for finding in rule(document)]


def _repeated(rows: list[Row], name: str, form: Callable[[str], str] = str) -> Iterator[Finding]:
    seen: dict[str, Loc] = {}
    for loc, row in rows:
        value = row.get(name)
        if not isinstance(value, str):
            continue
        first = seen.setdefault(form(value), loc)
        if first != loc:
            message = f"{dotted((*first, name))} already has it; each {name} may stand only once"
            yield Finding((*loc, name), value, message)


def _names_once(document: Document) -> Iterator[Finding]:
    for table in ("arms", "endpoints"):
        yield from _repeated(rows(document, table), "code")
    for table in ("caps", "drugs", "dose_levels", "recipients"):
        yield from _repeated(rows(document, table), "key")
    # One form and one dataset hold all three kinds of question, so they share one set of keys.
    questions = [
        row for table in ("factors", "eligibility", "baseline") for row in rows(document, table)
    ]
    yield from _repeated(questions, "key")
    yield from _repeated(questions, "question", comparable)
    for table in ("arms", "caps", "endpoints", "drugs", "dose_levels", "recipients"):
        yield from _repeated(rows(document, table), "label", comparable)
    for table, key in (("factors", "levels"), ("baseline", "choices"), ("drugs", "stop_reasons")):
        for loc in inner(document, table, key):
            yield from _repeated(rows(document, *loc), "key")
            yield from _repeated(rows(document, *loc), "label", comparable)


def _lists_once(document: Document) -> Iterator[Finding]:
    lists: list[Loc] = [("randomization", "block_sizes"), ("randomization", "stratify_by")]
    lists += inner(document, "endpoints", "event")
    lists += inner(document, "recipients", "receives")
    lists += [*inner(document, "caps", "countries"), *inner(document, "caps", "centres")]
    for loc in inner(document, "caps", "where"):
        where = at(document, *loc)
        lists += [(*loc, factor) for factor in where] if isinstance(where, Mapping) else []
    for loc in lists:
        entries = at(document, *loc)
        if not isinstance(entries, list | tuple):
            continue
        for i, entry in enumerate(entries):
            if entry in entries[:i]:
                yield Finding((*loc, i), entry, "each entry of this list may stand only once")


_RULES = (_names_once, _lists_once, *DESIGN_RULES, *CAP_RULES, *SUPPLY_RULES)
