"""Read a study file (TOML), report everything that is wrong with it, or give the definition."""

from __future__ import annotations

import difflib
import hashlib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from iwrs.definition.methods import METHOD_KEYS
from iwrs.definition.model import StudyDefinition
from iwrs.definition.problem import (
    ABSENT,
    DefinitionError,
    Finding,
    Loc,
    Problem,
    as_problem,
    printable,
    show,
)
from iwrs.definition.reading import at
from iwrs.definition.rules import broken_rules

MAX_BYTES = 1_000_000

_METHOD_TABLE = "randomization"

_SYNTAX_PLACE = re.compile(r" \(at line (\d+), column (\d+)\)$")

# pydantic's error type -> what is allowed, in words; {..} are pydantic's own limits.
_ALLOWED = {
    "missing": "this key is needed; add it",
    "string_type": 'must be text in quotes, for example "text"',
    "int_type": "must be a whole number without quotes, for example 3",
    "int_from_float": "must be a whole number without quotes, for example 3",
    "float_type": "must be a number without quotes, for example 0.6",
    "finite_number": "must be an ordinary number, for example 0.6",
    "bool_type": "must be true or false, without quotes",
    "model_type": "must be a table of keys, for example [study], or {{ key = ... }} in a list",
    "dict_type": "must be a table of keys, for example {{ EVE = ... }}",
    "tuple_type": "must be a list: [ ... ], or for tables [[...]]",
    "greater_than_equal": "must be {ge} or more",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be {le} or less",
    "less_than": "must be less than {lt}",
    "too_short": "{min_length} or more entries are needed here",
    "too_long": "{max_length} or fewer entries are allowed here",
    "string_too_long": "must have at most {max_length} characters",
    "wording": "{allowed}",
}


@dataclass(frozen=True)
class LoadedDefinition:
    """A checked definition with the text it came from; ``sha256`` is of the file's own bytes."""

    definition: StudyDefinition
    text: str
    sha256: str


def load_definition(path: str | Path) -> LoadedDefinition:
    """Read and check the study file at ``path`` (UTF-8 TOML).

    Raises ``DefinitionError`` with all problems; nothing else, whatever the file holds.
    """
    source = str(path)
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise _failed(source, "(file)", printable(source), f"cannot be read: {reason}") from error
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"byte 0x{content[error.start]:02x}"
        raise _failed(source, f"line {line}", found, "the file must be saved as UTF-8") from error
    return parse_definition(text, source=source)


def parse_definition(text: str, *, source: str = "text") -> LoadedDefinition:
    """Check the text of a study file. Raises ``DefinitionError`` with all problems."""
    document, digest = _parse_toml(text, source)
    try:
        definition = StudyDefinition.model_validate(document)
    except ValidationError as error:
        found = [*_findings(document, error.errors()), *broken_rules(document)]
        raise DefinitionError(_in_file_order(document, found), source=source) from None
    return LoadedDefinition(definition=definition, text=text, sha256=digest)


def _failed(source: str, key: str, found: str, message: str) -> DefinitionError:
    return DefinitionError([Problem(key=key, found=found, message=message)], source=source)


def _parse_toml(text: str, source: str) -> tuple[dict[str, Any], str]:
    try:
        content = text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _failed(source, "(file)", "half a character", "must be valid Unicode") from error
    if len(content) > MAX_BYTES:
        message = f"a study file has at most {MAX_BYTES} bytes"
        raise _failed(source, "(file)", f"more than {MAX_BYTES} bytes", message)
    if text.startswith("\ufeff"):
        message = 'save the file as "UTF-8", not as "UTF-8 with BOM"'
        raise _failed(source, "line 1", "a byte order mark", message)
    try:
        return tomllib.loads(text), hashlib.sha256(content).hexdigest()
    except RecursionError as error:
        raise _failed(source, "(file)", "very deep nesting", "use fewer brackets") from error
    except ValueError as error:  # TOMLDecodeError, and the limit on digits of a number
        raise DefinitionError([_syntax_problem(text, error)], source=source) from error


def _syntax_problem(text: str, error: ValueError) -> Problem:
    if not isinstance(error, tomllib.TOMLDecodeError):
        return Problem("(file)", "a number with too many digits", "write an ordinary number")
    reason = printable(str(error))
    lines = text.rstrip().split("\n")
    place = _SYNTAX_PLACE.search(reason)
    number = int(place.group(1)) if place else len(lines)
    line = lines[number - 1].strip() if number <= len(lines) else ""
    return Problem(
        key=f"line {number}, column {place.group(2)}" if place else f"line {number}",
        found=show(line),
        message=f"the file is not correct TOML here: {_SYNTAX_PLACE.sub('', reason)}",
    )


def _findings(document: Mapping[str, Any], errors: Iterable[ErrorDetails]) -> list[Finding]:
    return [_finding(error, document) for error in errors if not _says_nothing_new(error)]


def _says_nothing_new(error: ErrorDetails) -> bool:
    """True of the rules, which run by themselves, and of a list whose wrong entries, each reported
    already, pydantic counts as not there."""
    if error["type"] == "too_short":
        return len(error["input"]) >= error["ctx"]["min_length"]
    return error["type"] == "study_rules"


def _finding(error: ErrorDetails, document: Mapping[str, Any]) -> Finding:
    typed, kind, limits = error["loc"], error["type"], error.get("ctx", {})
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _no_method(document)
    # Within [randomization] pydantic names the method too, which is no key of the file.
    loc = typed[:1] + typed[2:] if typed[0] == _METHOD_TABLE and len(typed) > 1 else typed
    if kind == "extra_forbidden":
        return Finding(loc, error["input"], _unknown_key(typed))
    if kind == "literal_error":
        return Finding(loc, error["input"], _not_one_of(typed, error["input"]))
    if loc[-1] == "[key]":  # pydantic's mark for "the key itself is wrong"
        loc = loc[:-1]
    template = _ALLOWED.get(kind)
    message = template.format(**limits) if template else error["msg"]
    return Finding(loc, ABSENT if kind == "missing" else error["input"], message)


def _no_method(document: Mapping[str, Any]) -> Finding:
    """The key that says which keys the table may have is missing or not known."""
    loc = (_METHOD_TABLE, "method")
    found = at(document, *loc)
    if found is ABSENT:
        return Finding(loc, ABSENT, _ALLOWED["missing"])
    words = ", ".join(show(name) for name in METHOD_KEYS)
    near = _nearest(found, list(METHOD_KEYS))
    return Finding(loc, found, f"must be one of: {words};{near}".rstrip(";"))


def _unknown_key(loc: Loc) -> str:
    allowed = _keys_of(_annotation_at(loc[:-1]))
    return f"unknown key;{_nearest(loc[-1], allowed)} allowed here: {', '.join(allowed)}"


def _not_one_of(loc: Loc, found: Any) -> str:
    allowed = get_args(_annotation_at(loc))
    words = ", ".join(show(value) for value in allowed)
    return f"must be one of: {words};{_nearest(found, allowed)}".rstrip(";")


def _nearest(found: Any, allowed: Sequence[Any]) -> str:
    names = [name for name in allowed if isinstance(name, str)]
    near = difflib.get_close_matches(str(found).lower(), names, n=1, cutoff=0.6)
    return f" did you mean {near[0]}?" if near else ""


def _annotation_at(loc: Loc) -> Any:
    """The type that the model declares at a path, as far as the path is known."""
    kind: Any = StudyDefinition
    for step in loc:
        if step in METHOD_KEYS:
            kind = METHOD_KEYS[step]
        elif isinstance(step, int):
            kind = get_args(kind)[0]
        elif isinstance(kind, type) and issubclass(kind, BaseModel):
            fields = {field.alias or name: field for name, field in kind.model_fields.items()}
            kind = fields[step].annotation
    return get_args(kind)[0] if hasattr(kind, "__metadata__") else kind


def _keys_of(kind: Any) -> list[str]:
    if get_origin(kind) is None and isinstance(kind, type) and issubclass(kind, BaseModel):
        return [field.alias or name for name, field in kind.model_fields.items()]
    return []


def _in_file_order(document: Mapping[str, Any], findings: Iterable[Finding]) -> list[Problem]:
    sections = _keys_of(StudyDefinition)
    ranked = sorted(
        findings,
        key=lambda each: sections.index(each.loc[0]) if each.loc[0] in sections else -1,
    )
    return list(dict.fromkeys(as_problem(document, finding) for finding in ranked))
