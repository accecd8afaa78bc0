"""The requirements as `docs/requirements.md` lists them, and the tests that name them.

Both are read from the text of the files, so that the answer does not depend on which tests a run
collects.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "requirements.md"
TESTS = ROOT / "tests"
MARK = "pytest.mark.requirement"

_ROW = re.compile(r"\| (REQ-\d{3}) \| (\S.*?) \| (\S.*?) \| (tested|planned) \|")


@dataclass(frozen=True)
class Requirement:
    """One row of the page. `clause` names where it comes from."""

    id: str
    text: str
    clause: str
    status: Literal["tested", "planned"]


def read_requirements(page: str) -> list[Requirement]:
    """The rows of the page, in its order. Raises `ValueError` on a row that cannot be read."""
    found = []
    for line in page.splitlines():
        if not line.startswith("| REQ"):
            continue
        row = _ROW.fullmatch(line)
        if row is None:
            raise ValueError(f"docs/requirements.md: this row cannot be read: {line}")
        found.append(Requirement(*row.groups()))  # type: ignore[arg-type]
    return found


def marks_of(source: str, file: str) -> dict[str, set[str]]:
    """Test (`file::function` or `file::Class::function`) to the numbers that its marks name.

    A mark stands on a test, on its class, or on the whole module as `pytestmark`.
    """
    module = ast.parse(source)
    return {test: ids for test, ids in _tests(module, file, _of_module(module)) if ids}


def all_marks(folder: Path = TESTS) -> dict[str, set[str]]:
    """The marks of every file of tests, by test."""
    marks: dict[str, set[str]] = {}
    for path in sorted(folder.rglob("test_*.py")):
        file = path.relative_to(folder.parent).as_posix()
        marks |= marks_of(path.read_text(encoding="utf-8"), file)
    return marks


def by_requirement(marks: dict[str, set[str]]) -> dict[str, list[str]]:
    """Number to the tests that name it, both in order."""
    numbers = sorted({number for ids in marks.values() for number in ids})
    return {number: sorted(test for test in marks if number in marks[test]) for number in numbers}


def _tests(
    node: ast.Module | ast.ClassDef, name: str, inherited: set[str]
) -> Iterator[tuple[str, set[str]]]:
    for each in node.body:
        if isinstance(each, ast.FunctionDef) and each.name.startswith("test_"):
            yield f"{name}::{each.name}", inherited | _of_decorators(each)
        elif isinstance(each, ast.ClassDef) and each.name.startswith("Test"):
            yield from _tests(each, f"{name}::{each.name}", inherited | _of_decorators(each))


def _of_module(module: ast.Module) -> set[str]:
    ids: set[str] = set()
    for each in module.body:
        if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "pytestmark":
            listed = each.value.elts if isinstance(each.value, ast.List) else [each.value]
            ids = ids.union(*(_of_mark(mark) for mark in listed))
    return ids


def _of_decorators(node: ast.FunctionDef | ast.ClassDef) -> set[str]:
    return set[str]().union(*(_of_mark(each) for each in node.decorator_list))


def _of_mark(node: ast.expr) -> set[str]:
    if not isinstance(node, ast.Call) or ast.unparse(node.func) != MARK:
        return set()
    return {str(ast.literal_eval(argument)) for argument in node.args}
