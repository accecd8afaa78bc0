"""Opening a sealed package, and making the pair of keys for it. No Django and no database.

A committee member needs these and nothing else of the system; `age` itself does as well.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pyrage

from dsmb.analysis import SealError, check_manifest, unseal


class OpeningError(ValueError):
    """What was wrong, and what to do. Never shows a key or the content of a package."""


def open_package(sealed: Path, identity: Path, out: Path) -> list[Path]:
    """Open `sealed` with the secret key in `identity` into the new directory `out`.

    Checks every file against the manifest inside the package first, and writes all files or none.
    Returns the files written. Raises `OpeningError`.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OpeningError(f"{out} exists and is not empty. Name a new directory with --out.")
    try:
        files = unseal(_bytes(sealed), _bytes(identity).decode("utf-8", "replace"))
    except SealError as problem:
        raise OpeningError(f"{sealed}: {problem}.") from None
    wrong = check_manifest(files)
    if wrong:
        raise OpeningError(
            f"{sealed}: these files differ from the manifest or are missing: {', '.join(wrong)}. "
            "Do not use the package; ask for a new one."
        )
    # Anybody may encrypt to a public key, so the names in a package are a stranger's.
    if any(Path(name).name != name or "\\" in name or name.startswith(".") for name in files):
        raise OpeningError(f"{sealed}: a file name in the package is not allowed. Do not use it.")
    return _write(files, out)


def new_identity(out: Path) -> str:
    """Write a new secret key to `out`, readable by its owner only, and return the public key.

    An existing file is never replaced: packages sealed to a lost key cannot be opened.
    """
    pair = pyrage.x25519.Identity.generate()
    public = str(pair.to_public())
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise OpeningError(f"{out} exists. Name a new file; a key is never replaced.") from None
    except OSError as problem:
        raise OpeningError(f"{out} cannot be written: {problem.strerror}.") from None
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"# public key: {public}\n{pair}\n")
    return public


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise OpeningError(f"{path} cannot be read: {problem.strerror}.") from None


def _write(files: dict[str, bytes], out: Path) -> list[Path]:
    """Write beside the target first, so that a full disk leaves no half package behind."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        half = Path(tempfile.mkdtemp(prefix=".unseal-", dir=out.parent))  # closed to others
    except OSError as problem:
        raise OpeningError(f"{out} cannot be written: {problem.strerror}.") from None
    try:
        for name, content in files.items():
            (half / name).write_bytes(content)
        if out.exists():
            out.rmdir()
        half.rename(out)
    except OSError as problem:
        shutil.rmtree(half, ignore_errors=True)
        raise OpeningError(f"{out} cannot be written: {problem.strerror}.") from None
    return sorted(out / name for name in files)
