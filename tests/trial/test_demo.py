"""The demonstration, whole, with its own services and processes, on a small trial."""

import random
import shutil
import socket
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pyrage
import pytest

from tests.factories import ROOT


def free_ports() -> int:
    """A port that is free together with the next one. A minute passes until the sites take them,
    so both are of those that the system gives to no connection meanwhile.
    """
    for _ in range(50):
        port = random.randrange(20_000, 32_000)
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("127.0.0.1", port))
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise AssertionError("no two free ports next to each other")


@pytest.fixture
def state():
    made = Path(tempfile.mkdtemp(prefix="iwrs-demo-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def test_the_story_is_told_to_its_end(state):
    command = [sys.executable, "-m", "trial.demo.story", "--no-serve", "--state", str(state)]
    command += ["--port", str(free_ports()), "--subjects", "40", "--centres", "6"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert told.returncode == 0, told.stdout[-3000:] + told.stderr[-1000:]
    page = (state / "summary.txt").read_text(encoding="utf-8")
    assert "40 subjects at 6 centres" in page
    assert "Hazard ratio" in page
    assert "How long each step took" in page

    sealed = (state / "release" / "extract.age").read_bytes()
    assert not zipfile.is_zipfile(state / "release" / "extract.age")
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(sealed, [pyrage.x25519.Identity.generate()])
    opened = sorted(path.name for path in (state / "release" / "extract").iterdir())
    assert {"adsl.csv", "adtte.csv", "summary.txt", "results.json", "manifest.json"} <= set(opened)
    assert any((state / "mail").iterdir())
