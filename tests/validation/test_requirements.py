"""Every requirement is proved by a test that names it (REQ-001), and the matrix is made of that."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.validation import plugin
from tests.validation.matrix import (
    Row,
    as_json,
    as_page,
    differences,
    fingerprint_of_code,
    of_functions,
    proofs_in,
    rows_of,
    worse,
)
from tests.validation.requirements import (
    PAGE,
    Requirement,
    all_marks,
    by_requirement,
    marks_of,
    read_requirements,
)

REQUIREMENTS = read_requirements(PAGE.read_text(encoding="utf-8"))
pytestmark = pytest.mark.requirement("REQ-001")


def faults(requirements: list[Requirement], marks: dict[str, set[str]]) -> list[str]:
    """What is wrong between the page and the marks."""
    tests = by_requirement(marks)
    known = {each.id: each for each in requirements}
    unknown = [f"{each} is named by {tests[each][0]} only" for each in tests if each not in known]
    untested = [
        f"{each.id} has no test"
        for each in requirements
        if each.status == "tested" and each.id not in tests
    ]
    early = [
        f"{each.id} has a test: its status is tested"
        for each in requirements
        if each.status == "planned" and each.id in tests
    ]
    return unknown + untested + early


def test_page_and_marks_agree() -> None:
    assert faults(REQUIREMENTS, all_marks()) == []


def test_numbers_are_given_once_and_without_gap() -> None:
    assert [each.id for each in REQUIREMENTS] == [
        f"REQ-{n:03d}" for n in range(1, len(REQUIREMENTS) + 1)
    ]


def test_no_row_of_the_page_is_overlooked() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text.count("\n| REQ-") == len(REQUIREMENTS) > 60
    with pytest.raises(ValueError, match="cannot be read"):
        read_requirements("| REQ-001 | Something | Clause | perhaps |")


def test_each_kind_of_fault_is_found() -> None:
    page = [
        Requirement("REQ-001", "A", "11.10", "tested"),
        Requirement("REQ-002", "B", "11.10", "planned"),
    ]
    assert faults(page, {"t": {"REQ-001"}}) == []
    assert faults(page, {}) == ["REQ-001 has no test"]
    assert faults(page, {"t": {"REQ-001", "REQ-009"}}) == ["REQ-009 is named by t only"]
    assert faults(page, {"t": {"REQ-001", "REQ-002"}}) == [
        "REQ-002 has a test: its status is tested"
    ]


def test_marks_are_read_from_functions_classes_and_modules() -> None:
    source = """
pytestmark = [pytest.mark.django_db, pytest.mark.requirement("REQ-001")]

@pytest.mark.requirement("REQ-002", "REQ-003")
@pytest.mark.parametrize("x", [1, 2])
def test_a(x): ...

@pytest.mark.requirement("REQ-004")
class TestIt:
    def test_b(self): ...

def helper(): ...
"""
    assert marks_of(source, "tests/test_x.py") == {
        "tests/test_x.py::test_a": {"REQ-001", "REQ-002", "REQ-003"},
        "tests/test_x.py::TestIt::test_b": {"REQ-001", "REQ-004"},
    }
    assert marks_of("def test_c(): ...", "tests/test_x.py") == {}


def test_what_is_read_is_what_pytest_sees(request: pytest.FixtureRequest) -> None:
    """A mark that stands where the reader does not look, as on one parameter, would be lost."""
    marks = all_marks()
    for item in request.session.items:
        named = {str(each) for mark in item.iter_markers("requirement") for each in mark.args}
        assert marks.get(item.nodeid.split("[")[0], set()) == named, item.nodeid


def test_a_failure_outweighs_a_pass() -> None:
    assert worse(None, "skipped") == "skipped"
    assert worse("skipped", "passed") == "passed"
    assert worse("passed", "failed") == worse("failed", "passed") == "failed"
    asked = Requirement("REQ-001", "A", "11.10", "tested")
    assert Row(asked, {"a": "passed", "b": "failed"}).result == "failed"
    assert Row(asked, {"a": "passed", "b": "not run"}).result == "passed"
    assert Row(asked, {"a": "skipped"}).result == "not run"


def test_proofs_count_for_the_code_that_they_ran_on(tmp_path: Path) -> None:
    file = tmp_path / "proofs.json"
    assert proofs_in(file) == {}
    kept = {"code": fingerprint_of_code(), "outcomes": {"tests/a.py::test_slow": "passed"}}
    file.write_text(json.dumps(kept))
    assert proofs_in(file) == kept["outcomes"]
    file.write_text(json.dumps(kept | {"code": "of another day"}))
    assert proofs_in(file) == {}


def _prove(file: Path, *outcomes: tuple[str, str]) -> list[str]:
    """What `make prove` keeps of a run with these outcomes, and what it says."""
    run, said = plugin._Proofs(file), []
    for test, outcome in outcomes:
        run.pytest_runtest_logreport(
            pytest.TestReport(test, ("", 0, ""), {}, outcome, None, "call")
        )
    run.pytest_terminal_summary(SimpleNamespace(write_line=said.append))
    return said


def test_a_proof_that_failed_is_not_covered_by_another_parameter(tmp_path: Path) -> None:
    file = tmp_path / "proofs.json"
    _prove(file, ("tests/a.py::test_slow[one]", "failed"))
    _prove(file, ("tests/a.py::test_slow[two]", "passed"))
    usual = [("tests/a.py::test_slow", "passed")]  # of the parameters that are not slow
    kept = [*proofs_in(file).items(), *usual]
    assert of_functions(kept) == {"tests/a.py::test_slow": "failed"}
    _prove(file, ("tests/a.py::test_slow[one]", "passed"))
    assert of_functions(proofs_in(file).items()) == {"tests/a.py::test_slow": "passed"}


def test_nothing_is_kept_of_a_run_in_which_the_code_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = iter(["before", "after"])
    monkeypatch.setattr(plugin, "fingerprint_of_code", lambda: next(codes))
    assert _prove(tmp_path / "proofs.json", ("tests/a.py::test_slow", "passed"))
    assert not (tmp_path / "proofs.json").exists()


def test_words_and_state_are_no_code(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "rule.sql").write_text("SELECT 1")
    before = fingerprint_of_code(tmp_path)
    for name in ("room/rule.pyc", "README.md", ".venv/lib.py", "docs/picture.svg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("anything")
    assert fingerprint_of_code(tmp_path) == before
    (tmp_path / "room" / "rule.sql").write_text("SELECT 2")
    assert fingerprint_of_code(tmp_path) != before


def test_the_matrix_shows_outcomes_and_is_compared_without_them() -> None:
    rows = rows_of({})
    text = as_json(rows)
    test = next(iter(rows[0].tests))
    passed = rows_of({test: "passed"})
    assert json.loads(as_json(passed))[0]["result"] == "passed"
    assert f"`{test.removeprefix('tests/')}`<br>" in as_page(passed)
    assert f"`{test.removeprefix('tests/')}` (not run)" in as_page(rows)
    assert differences(text, passed) == []
    moved = json.loads(text)
    moved[1]["tests"] = {}
    moved[2]["clause"] = "11.11"
    assert differences(json.dumps(moved), rows) == ["REQ-002", "REQ-003"]
    assert differences(json.dumps(moved[:-1]), rows)[-1] == REQUIREMENTS[-1].id
