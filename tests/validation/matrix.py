"""The traceability matrix: requirement, clause, tests, result.

`python -m tests.validation.matrix check` compares the committed matrix with the tests as they are;
`... record` writes it again with the outcomes of the last run (`pytest --outcomes FILE`). What is
written depends on nothing but requirements, marks and outcomes: no times, no machine.

Slow proofs run apart (`make prove`) and in parts: their outcomes are kept beside, as long as the
code is the one that they were run on.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.validation.requirements import (
    PAGE,
    ROOT,
    Requirement,
    all_marks,
    by_requirement,
    read_requirements,
)

Outcome = Literal["passed", "failed", "skipped"]
OUTCOMES = ROOT / ".iwrs" / "validation" / "outcomes.json"
PROOFS = ROOT / ".iwrs" / "validation" / "proofs.json"
MATRIX = ROOT / "docs" / "validation"

_NO_CODE = {"docs", "build"}
_WORDS = {".md", ".pyc", ".png"}
_ORDER: Sequence[str] = ("failed", "passed", "skipped")
_HEAD = """# Traceability

Written by `make validation`; do not edit. Each requirement of [requirements](../requirements.md)
with the tests that name it and the outcome of the last recorded run. A requirement has passed when
no test of it failed and one at least passed; `not run` stands for tests that were not run on this
code: slow ones are run by `make prove` before they are recorded.

| requirement | clause | tests | result |
|---|---|---|---|
"""


@dataclass(frozen=True)
class Row:
    """One requirement with the outcome of each of its tests, and what that makes together."""

    requirement: Requirement
    tests: dict[str, str]

    @property
    def result(self) -> str:
        if self.requirement.status == "planned":
            return "planned"
        for outcome in ("failed", "passed"):
            if outcome in self.tests.values():
                return outcome
        return "not run"


def worse(one: Outcome | None, other: Outcome) -> Outcome:
    """The outcome of a test that ran several times: a failure counts, and then a pass."""
    return other if one is None else min(one, other, key=_ORDER.index)


def of_functions(outcomes: Iterable[tuple[str, Outcome]]) -> dict[str, Outcome]:
    """Outcomes of test functions, made of those of each of their parameters."""
    found: dict[str, Outcome] = {}
    for test, outcome in outcomes:
        name = test.split("[")[0]
        found[name] = worse(found.get(name), outcome)
    return found


def fingerprint_of_code(root: Path = ROOT) -> str:
    """SHA-256 of every file that can change what a test does: all but words, pictures and state."""
    rooms = [each for each in root.iterdir() if each.name[0] != "." and each.name not in _NO_CODE]
    files = {file for room in rooms for file in [room, *room.rglob("*")] if file.is_file()}
    found = hashlib.sha256()
    for file in sorted(files):
        if file.suffix not in _WORDS:
            content = hashlib.sha256(file.read_bytes()).hexdigest()
            found.update(f"{file.relative_to(root)}\0{content}\0".encode())
    return found.hexdigest()


def proofs_in(file: Path) -> dict[str, Outcome]:
    """Outcomes of slow proofs on the code as it is now, each parameter apart, so that one which is
    run again does not cover another that failed. Those of other code do not count.
    """
    if not file.exists():
        return {}
    kept = json.loads(file.read_text(encoding="utf-8"))
    return dict(kept["outcomes"]) if kept["code"] == fingerprint_of_code() else {}


def rows_of(outcomes: Mapping[str, str]) -> list[Row]:
    """Every requirement of the page with its tests and their outcomes."""
    tests = by_requirement(all_marks())
    return [
        Row(each, {test: outcomes.get(test, "not run") for test in tests.get(each.id, [])})
        for each in read_requirements(PAGE.read_text(encoding="utf-8"))
    ]


def as_json(rows: Sequence[Row]) -> str:
    document = [
        {
            "id": row.requirement.id,
            "requirement": row.requirement.text,
            "clause": row.requirement.clause,
            "tests": row.tests,
            "result": row.result,
        }
        for row in rows
    ]
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def as_page(rows: Sequence[Row]) -> str:
    lines = []
    for row in rows:
        tests = "<br>".join(
            f"`{test.removeprefix('tests/')}`" + ("" if outcome == "passed" else f" ({outcome})")
            for test, outcome in row.tests.items()
        )
        needed = f"{row.requirement.id} {row.requirement.text}"
        lines.append(f"| {needed} | {row.requirement.clause} | {tests or '–'} | {row.result} |")
    return _HEAD + "\n".join(lines) + "\n"


def differences(committed: str, rows: Sequence[Row]) -> list[str]:
    """Requirements whose text, clause or tests differ from the committed matrix; not results."""
    then = {each["id"]: each for each in json.loads(committed)}
    now = {each["id"]: each for each in json.loads(as_json(rows))}
    return [
        number
        for number in sorted(then.keys() | now.keys())
        if _compared(then.get(number)) != _compared(now.get(number))
    ]


def _compared(entry: Mapping[str, object] | None) -> object:
    if entry is None:
        return None
    tests = entry["tests"]
    assert isinstance(tests, dict)
    planned = entry["result"] == "planned"
    return entry["requirement"], entry["clause"], sorted(tests), planned


def check() -> int:
    """Compare the committed matrix with marks and page; say what to do when they differ."""
    committed = (MATRIX / "traceability.json").read_text(encoding="utf-8")
    differing = differences(committed, rows_of({}))
    if differing:
        print(f"docs/validation is out of date for {', '.join(differing)}: run make validation.")
        return 1
    return 0


def record(outcomes: Path) -> int:
    """Write the matrix with the outcomes of a run, and those of the proofs.

    A test may have parameters in both: the worse outcome counts.
    """
    usual = json.loads(outcomes.read_text(encoding="utf-8"))
    rows = rows_of(of_functions([*proofs_in(PROOFS).items(), *usual.items()]))
    MATRIX.mkdir(exist_ok=True)
    (MATRIX / "traceability.json").write_text(as_json(rows), encoding="utf-8")
    (MATRIX / "traceability.md").write_text(as_page(rows), encoding="utf-8")
    print("docs/validation is written.")
    return 0


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("what", choices=["check", "record"])
    arguments.add_argument("--outcomes", type=Path, default=OUTCOMES)
    asked = arguments.parse_args()
    sys.exit(check() if asked.what == "check" else record(asked.outcomes))
