"""Every dependency is pinned once, with hashes, and from no named host (ASVS V15.2).

Whether a release was withdrawn cannot be seen offline; `test_advisories.py` asks.
"""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.validation.requirements import ROOT

pytestmark = pytest.mark.requirement("REQ-074")
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
_PIN = re.compile(r"([a-z0-9][a-z0-9.-]*)(\[[a-z0-9,-]+\])?==([0-9][A-Za-z0-9.+!-]*)( ; .+)?")
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def pins(text: str) -> dict[str, set[str]]:
    """Name to versions. Raises `ValueError` on a line that is no pin with hashes.

    One name has several versions only when each is for other Pythons, by its marker.
    """
    joined = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    found: dict[str, set[str]] = {}
    places: set[tuple[str, str]] = set()
    for line in filter(None, map(str.strip, joined.splitlines())):
        pin, *hashes = re.split(r"\s+(?=--)", line)
        match = _PIN.fullmatch(pin.strip())
        if match is None:
            raise ValueError(f"this is no pin: {line[:80]}")
        name = match[1]
        if not hashes or not all(_HASH.fullmatch(each.strip()) for each in hashes):
            raise ValueError(f"{name} has no hash that can be checked")
        place = (name, match[4] or "")
        if place in places or (name in found and "" in {place[1], *_markers(places, name)}):
            raise ValueError(f"{name} is pinned twice")
        places.add(place)
        found.setdefault(name, set()).add(match[3])
    return found


def _markers(places: set[tuple[str, str]], name: str) -> set[str]:
    return {marker for pinned, marker in places if pinned == name}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_line_is_one_pin_with_hashes(lock: Path) -> None:
    assert len(pins(lock.read_text(encoding="utf-8"))) > 50


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "--find https://example.org/\na==1 \\\n    --hash=sha256:" + "0" * 64,
            "no pin",
        ),
        ("a==1", "no hash"),
        ("a==1 \\\n    --hash=md5:" + "0" * 32, "no hash"),
        ("a>=1 \\\n    --hash=sha256:" + "0" * 64, "no pin"),
        ("a @ https://example.org/a.whl", "no pin"),
        (("a==1 \\\n    --hash=sha256:" + "0" * 64 + "\n") * 2, "twice"),
        (f"a==1 --hash=sha256:{'0' * 64}\na==2 ; x == 'y' --hash=sha256:{'0' * 64}", "twice"),
    ],
)
def test_a_bad_lock_is_noticed(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        pins(text)


def test_both_locks_pin_the_same_versions() -> None:
    base, dev = (pins((ROOT / "requirements" / f"{n}.lock").read_text()) for n in ("base", "dev"))
    assert {name: dev.get(name) for name in base} == base


def test_every_declared_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for lock, declared in {
        "base": project["project"]["dependencies"],
        "dev": project["dependency-groups"]["dev"],
    }.items():
        names = {re.match(r"[\w.-]+", each)[0].lower() for each in declared}  # type: ignore[index]
        assert names - set(pins((ROOT / "requirements" / f"{lock}.lock").read_text())) == set()


def test_what_runs_here_is_what_is_locked() -> None:
    locked = pins((ROOT / "requirements" / "dev.lock").read_text())
    for name in ("django", "djangorestframework", "psycopg", "cryptography", "celery", "pyrage"):
        assert version(name) in locked[name]


def test_dependencies_are_installed_by_hash_only() -> None:
    for file in ("Makefile", "Dockerfile"):
        text = (ROOT / file).read_text(encoding="utf-8")
        for line in text.splitlines():
            if "pip install" in line:
                assert "--require-hashes" in line, f"{file}: {line}"
