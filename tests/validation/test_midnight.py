"""A failure while a day ends is tried once more; any other stays a failure."""

import os
import subprocess
import sys
from pathlib import Path

from tests.validation.requirements import ROOT

CALENDAR = """
from datetime import date
from tests import midnight

midnight.ended = 0  # days that ended so far
midnight.days = lambda: [date.fromordinal(midnight.ended + 1)]
"""
TESTS = """
from tests import midnight

ran = []

def test_a_day_ends_in_the_first_run():
    ran.append("once")
    if len(ran) == 1:
        midnight.ended += 1
        raise AssertionError("it was another day")

def test_no_day_ends():
    ran.append("red")
    raise AssertionError("a fault")

def test_a_fault_at_midnight():
    ran.append("twice")
    midnight.ended += 1
    raise AssertionError("a fault")

def test_how_often_each_ran():
    assert ran == ["once", "once", "red", "twice", "twice"]
"""


def test_only_a_test_during_which_a_day_ended_runs_once_more(tmp_path: Path) -> None:
    (tmp_path / "calendar_of_the_test.py").write_text(CALENDAR, encoding="utf-8")
    (tmp_path / "test_days.py").write_text(TESTS, encoding="utf-8")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:django", "-p", "no:cacheprovider"),
            *("-p", "tests.midnight", "-p", "calendar_of_the_test", "test_days.py"),
        ],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "2 failed, 2 passed" in done.stdout, done.stdout + done.stderr
    for name in ("test_no_day_ends", "test_a_fault_at_midnight"):
        assert f"FAILED test_days.py::{name}" in done.stdout
