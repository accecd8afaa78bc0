"""Study files for tests: the shipped one with some keys changed, and what is said of it."""

from __future__ import annotations

import copy
import json
import math
import tomllib
from pathlib import Path
from typing import Any

import pytest

from iwrs.definition import (
    DefinitionError,
    Problem,
    StudyDefinition,
    parse_definition,
)

BOLERO2 = Path(__file__).resolve().parents[2] / "studies" / "bolero2.toml"
DOCUMENT = tomllib.loads(BOLERO2.read_text(encoding="utf-8"))
REMOVE = object()
YES_NO = [{"key": "yes", "label": "Yes"}, {"key": "no", "label": "No"}]
CAP = {"key": "some", "label": "Some of them", "limit": 10}


def as_toml(value: Any) -> str:
    """A parsed document as TOML, in inline tables: enough for what these tests write."""
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(k)} = {as_toml(v)}" for k, v in value.items())
        return f"{{ {inner} }}"
    if isinstance(value, list):
        return f"[{', '.join(as_toml(entry) for entry in value)}]"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def text_of(document: dict[str, Any]) -> str:
    return "\n".join(f"{json.dumps(key)} = {as_toml(value)}" for key, value in document.items())


def changed(*edits: tuple[tuple[str | int, ...], Any]) -> dict[str, Any]:
    """The shipped study with some keys set to other values, or removed."""
    document = copy.deepcopy(DOCUMENT)
    for path, value in edits:
        target: Any = document
        for step in path[:-1]:
            target = target[step]
        if value is REMOVE:
            del target[path[-1]]
        elif isinstance(target, list) and path[-1] == len(target):
            target.append(value)
        else:
            target[path[-1]] = value
    return document


def problems(document: dict[str, Any]) -> list[Problem]:
    with pytest.raises(DefinitionError) as refusal:
        parse_definition(text_of(document))
    return refusal.value.problems


def study(*edits: tuple[tuple[str | int, ...], Any]) -> StudyDefinition:
    return parse_definition(text_of(changed(*edits))).definition
