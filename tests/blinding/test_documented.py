"""`docs/blinding.md` names real tests, every file of tests here, and every gate."""

import re
from pathlib import Path

from tests.blinding import catalogue
from tests.roles import Logins

HERE = Path(__file__).resolve().parent
TEXT = (HERE.parents[1] / "docs" / "blinding.md").read_text(encoding="utf-8")


def test_each_property_names_a_test_that_exists():
    named = re.findall(r"`(test_\w+\.py)(?:::(test_\w+))?`", TEXT)
    assert len(named) > 15
    for file, function in named:
        source = (HERE / file).read_text(encoding="utf-8")
        assert f"def {function or 'test_'}" in source, (file, function)


def test_each_file_of_tests_guards_a_property():
    files = {path.name for path in HERE.glob("test_*.py")} - {Path(__file__).name}
    assert {name for name in files if f"`{name}" not in TEXT} == set()


def test_each_gate_is_described(logins: Logins):
    gates = catalogue.column(
        logins.owner(), "SELECT proname FROM pg_proc WHERE pronamespace = 'gate'::regnamespace"
    )
    assert {name for name in gates if f"| `gate.{name}` |" not in TEXT} == set()
