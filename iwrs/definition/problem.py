"""What is wrong with a study definition, in words that trial staff can act on."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

Loc = tuple[str | int, ...]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SHOWN = 60  # characters of a value that an error line shows


@dataclass(frozen=True)
class Problem:
    """One thing to correct.

    ``key`` is the dotted key, counted from zero as in ``arms[1].ratio``; ``found`` is what stands
    there; ``message`` says what is allowed; ``place`` says in words which entry of a list it is.
    """

    key: str
    found: str
    message: str
    place: str = ""

    def __str__(self) -> str:
        where = f"{self.key} ({self.place})" if self.place else self.key
        return f"{where}: found {self.found}; {self.message}"


class DefinitionError(ValueError):
    """A study definition cannot be used. ``problems`` holds everything that was found wrong."""

    def __init__(self, problems: Iterable[Problem], *, source: str = "") -> None:
        self.problems = list(problems)
        self.source = source
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Finding(NamedTuple):
    """A problem as a rule sees it: a path into the document, not yet words."""

    loc: Loc
    found: Any
    message: str


@dataclass(frozen=True)
class Words:
    """Stands in ``Finding.found`` for what is not a value of the document."""

    text: str


ABSENT = Words("nothing")


def printable(text: str) -> str:
    """The text with every character that could disturb a terminal or a log line escaped."""
    return "".join(
        c if c.isprintable() else (f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}")
        for c in text
    )


def show(value: Any) -> str:
    """A value as it would be written in the file, on one line and at most 60 characters."""
    if value is None:
        return ABSENT.text
    if isinstance(value, Words):
        return printable(value.text)
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except RecursionError:
        text = type(value).__name__
    text = printable(text)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def dotted(loc: Loc) -> str:
    """``("arms", 1, "ratio")`` as ``arms[1].ratio``; a key that needs quotes gets them."""
    text = ""
    for step in loc:
        if isinstance(step, int):
            text += f"[{step}]"
            continue
        name = step if _BARE_KEY.fullmatch(step) else show(step)
        text += f".{name}" if text else name
    return text or "(whole file)"


def step_into(value: Any, step: str | int) -> Any:
    """The part of a parsed document below ``value``, or ``ABSENT``. Never raises."""
    if isinstance(value, Mapping):
        return value.get(step, ABSENT)
    if isinstance(value, list | tuple) and isinstance(step, int) and 0 <= step < len(value):
        return value[step]
    return ABSENT


def _place(raw: Any, loc: Loc) -> str:
    """Which entry of a list of tables the path goes through: ``2nd [[arms]], code "PBO"``."""
    value, name = raw, ""
    places: list[str] = []
    for step in loc:
        value = step_into(value, step)
        if isinstance(step, str):
            name = step
        elif isinstance(value, Mapping):
            table = f"entry of {name}" if places else f"[[{name}]]"
            identity = next((k for k in ("code", "key") if isinstance(value.get(k), str)), None)
            called = f", {identity} {show(value[identity])}" if identity else ""
            places.append(f"{_ordinal(step + 1)} {table}{called}")
    return "; ".join(places)


def _ordinal(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def as_problem(raw: Any, finding: Finding) -> Problem:
    """The finding in words, with its place in the parsed document ``raw``."""
    return Problem(
        key=dotted(finding.loc),
        found=show(finding.found),
        message=printable(finding.message),
        place=_place(raw, finding.loc),
    )
