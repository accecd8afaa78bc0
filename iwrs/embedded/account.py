"""The operating-system account the servers run as: PostgreSQL refuses to run as root."""

import hashlib
import os
import pwd
import stat
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from iwrs.embedded.state import EmbeddedError

ACCOUNT_NAME = "pgserver"
LONGEST_SOCKET_DIR = 80  # a socket's whole path must fit 107 bytes (sun_path)


@dataclass(frozen=True)
class Account:
    """Who the servers run as when the supervisor is root."""

    name: str
    uid: int
    gid: int


def service_account() -> Account | None:
    """Return the account to change to, or None when the supervisor is an ordinary user."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(ACCOUNT_NAME)
    except KeyError:
        entry = _create_account()
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _create_account() -> pwd.struct_passwd:
    command = ["useradd", "--system", "--no-create-home", "--shell", "/bin/false", ACCOUNT_NAME]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
        return pwd.getpwnam(ACCOUNT_NAME)
    except (OSError, subprocess.CalledProcessError, KeyError) as problem:
        raise EmbeddedError(
            "PostgreSQL does not run as root, and the user it would run as cannot be created "
            f"({' '.join(command)}: {problem}). Run as an ordinary user, or create the user "
            f"{ACCOUNT_NAME} yourself."
        ) from problem


def program(package: str, inside: str, account: Account | None) -> Path:
    """Find a server program in an installed wheel, and check that the account may run it.

    The package itself is not imported: it would look for servers and warn about this machine.
    """
    spec = find_spec(package)
    path = Path(spec.origin).parent / inside if spec and spec.origin else None
    if path is None or not path.exists():
        raise EmbeddedError(
            f"The program {inside} of the package {package} is not installed. Install the locked "
            "requirements again."
        )
    open_the_way(path, account)
    return path


def child_options(account: Account | None) -> dict[str, Any]:
    """Options of `subprocess` that drop root and keep the terminal's signals away."""
    options: dict[str, Any] = {
        "start_new_session": True,
        "cwd": "/",
        "env": {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
    }
    if account is not None:
        options |= {"user": account.uid, "group": account.gid, "extra_groups": []}
    return options


def hand_over(path: Path, account: Account | None) -> None:
    """Give a file or directory to the account."""
    if account is not None:
        os.chown(path, account.uid, account.gid)


def open_the_way(path: Path, account: Account | None, *, own: Path | None = None) -> None:
    """Check that the account may reach `path`; a directory that is ours is opened for it.

    Only `own`, the state directory, is changed (others may pass through it, not list it).
    Directories above it belong to somebody else, and the error says what to do about them.
    """
    if account is None:
        return
    for directory in reversed(path.parents):
        if _may_pass(directory.stat(), account):
            continue
        if own is None or not directory.is_relative_to(own):
            raise EmbeddedError(
                f"PostgreSQL does not run as root, so it runs as user {account.name}, who may not "
                f"pass through {directory} to reach {path}. Run as an ordinary user, use a "
                f"directory elsewhere, or open this one for passing through: chmod o+x {directory}"
            )
        directory.chmod(directory.stat().st_mode | stat.S_IXOTH)


def _may_pass(status: os.stat_result, account: Account) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def socket_directory(state_dir: Path) -> Path:
    """Where the socket is: beside the cluster, or under /tmp when that path is too long."""
    beside = state_dir / "socket"
    if len(os.fsencode(beside)) <= LONGEST_SOCKET_DIR:
        return beside
    return Path("/tmp") / f"iwrs-{hashlib.sha256(os.fsencode(state_dir)).hexdigest()[:16]}"  # noqa: S108


def claim_directory(directory: Path, account: Account | None) -> None:
    """Make the socket's directory ours alone.

    /tmp is open to everybody: a directory that somebody else put there would let them pose as
    the database.
    """
    directory.mkdir(mode=0o700, exist_ok=True)
    owner = directory.lstat().st_uid
    if directory.is_symlink() or owner not in {os.geteuid(), account.uid if account else -1}:
        raise EmbeddedError(
            f"{directory} belongs to somebody else, so the database's socket cannot be there. "
            "Remove it, or choose a state directory with a shorter path."
        )
    directory.chmod(0o700)
    hand_over(directory, account)
