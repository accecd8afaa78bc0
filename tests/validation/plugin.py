"""Keeps the outcome of each test of a run, by test function, for the traceability matrix.

With xdist, the workers' reports all reach the first process; only that one writes. `--proofs` adds
to what earlier runs on the same code left in the file, since proofs are run in parts.
"""

import json
from pathlib import Path

import pytest

from tests.validation.matrix import (
    Outcome,
    fingerprint_of_code,
    of_functions,
    proofs_in,
    rows_of,
    worse,
)

OPTION = "--outcomes"
PROOFS = "--proofs"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("validation")
    text = "write the outcome of each test to this file (JSON), and sum up the requirements"
    group.addoption(OPTION, metavar="FILE", type=Path, default=None, help=text)
    text = "add the outcome of each test to those in this file, if they are of the same code"
    group.addoption(PROOFS, metavar="FILE", type=Path, default=None, help=text)


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        return
    if (file := config.getoption(OPTION)) is not None:
        config.pluginmanager.register(_Outcomes(file), "requirement-outcomes")
    if (file := config.getoption(PROOFS)) is not None:
        config.pluginmanager.register(_Proofs(file), "requirement-proofs")


class _Outcomes:
    def __init__(self, file: Path) -> None:
        self.file = file
        self.of_tests: dict[str, Outcome] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # A set-up or tear-down counts when it failed or skipped, else the call itself.
        if report.when == "call" or not report.passed:
            known = self.of_tests.get(report.nodeid)
            self.of_tests[report.nodeid] = worse(known, report.outcome)

    def write(self, document: object) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(document, indent=0, sort_keys=True)
        self.file.write_text(text, encoding="utf-8")

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        outcomes = of_functions(self.of_tests.items())
        self.write(outcomes)
        results: dict[str, list[str]] = {}
        for row in rows_of(outcomes):
            results.setdefault(row.result, []).append(row.requirement.id)
        terminalreporter.section("requirements")
        for result, numbers in sorted(results.items()):
            which = "" if result == "passed" else f": {', '.join(numbers)}"
            terminalreporter.write_line(f"{len(numbers)} {result}{which}")


class _Proofs(_Outcomes):
    def __init__(self, file: Path) -> None:
        super().__init__(file)
        self.code = fingerprint_of_code()  # as it is when the run begins

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if fingerprint_of_code() != self.code:  # which of the two a test ran on, nobody knows
            terminalreporter.write_line("The code changed meanwhile: no outcome is kept.")
            return
        self.write({"code": self.code, "outcomes": proofs_in(self.file) | self.of_tests})
