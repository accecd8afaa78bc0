"""The state directory of the embedded services: lock, secrets and what was left running."""

import fcntl
import json
import os
import secrets
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil

SECRET_NAMES = (
    "postgres",
    "iwrs_owner",
    "iwrs_blinded",
    "iwrs_unblinded",
    "redis_blinded",
    "redis_unblinded",
    "secret_key_owner",
    "secret_key_blinded",
    "secret_key_unblinded",
)
SECONDS_TO_STOP = 30
SAME_START_SECONDS = 5


class EmbeddedError(RuntimeError):
    """A service could not start or stop; the text says what was wrong and what to do."""


def prepare_directory(state_dir: Path) -> Path:
    """Create the state directory and its `logs` and return its absolute path."""
    path = state_dir.expanduser().resolve()
    try:
        path.mkdir(parents=True, exist_ok=True)
        (path / "logs").mkdir(exist_ok=True, mode=0o700)
        probe = path / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as problem:
        raise EmbeddedError(
            f"The state directory {path} cannot be written ({problem.strerror}). "
            "Choose another one with --state, or give this user the right to write there."
        ) from problem
    return path


class Lock:
    """One supervisor for one state directory; the kernel frees the lock when it dies."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "lock"
        self._descriptor: int | None = None

    def acquire(self) -> None:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode().strip()
            os.close(descriptor)
            raise EmbeddedError(
                f"The services in {self._path.parent} are already running, started by process "
                f"{holder}. Stop that one first (kill {holder}), or choose another state directory."
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def load_secrets(state_dir: Path) -> dict[str, str]:
    """Return the passwords and secret keys of this directory; the first call draws them.

    They are drawn from the operating system's generator and need no quoting in a URL.
    """
    path = state_dir / "secrets.json"
    known: dict[str, str] = {}
    if path.exists():
        try:
            known = dict(json.loads(path.read_text()))
        except (ValueError, TypeError) as problem:
            raise EmbeddedError(
                f"{path} is not readable as JSON ({problem}). Restore it from a backup; without "
                "it the database's passwords are lost."
            ) from problem
    elif (state_dir / "postgres").exists():
        raise EmbeddedError(
            f"{state_dir} holds a database, but its passwords ({path.name}) are gone. Restore "
            f"{path.name} from a backup, or delete {state_dir} to start with an empty database."
        )
    missing = [name for name in SECRET_NAMES if name not in known]
    if missing:
        known |= {name: secrets.token_urlsafe(36) for name in missing}
        write_private(path, json.dumps(known, indent=1) + "\n")
    return known


def remember_child(state_dir: Path, name: str, pid: int) -> None:
    """Note a child process, so that the next start finds it if this supervisor is killed."""
    folder = state_dir / "run"
    folder.mkdir(exist_ok=True, mode=0o700)
    note = {"pid": pid, "started": psutil.Process(pid).create_time()}
    write_private(folder / f"{name}.json", json.dumps(note))


def forget_child(state_dir: Path, name: str) -> None:
    (state_dir / "run" / f"{name}.json").unlink(missing_ok=True)


def stop_left_behind(state_dir: Path, name: str, *, how: int = signal.SIGTERM) -> None:
    """Stop the noted process if it is still the same one (same pid and about the same start time:
    it is reckoned from when the machine started, which moves when the clock is set).

    Call it only with the lock held: then nobody else can be using that process.
    """
    path = state_dir / "run" / f"{name}.json"
    try:
        note = json.loads(path.read_text())
        process = psutil.Process(int(note["pid"]))
        same = abs(process.create_time() - float(note["started"])) < SAME_START_SECONDS
    except (OSError, ValueError, KeyError, psutil.NoSuchProcess):
        same = False
    if same:
        stop_process(process, name, how=how)
    forget_child(state_dir, name)


def stop_process(process: psutil.Process, name: str, *, how: int) -> None:
    """Ask a process of an earlier supervisor to end, and wait for it."""
    deadline = time.monotonic() + SECONDS_TO_STOP
    with suppress(psutil.NoSuchProcess):
        process.send_signal(how)
    while not _has_ended(process):
        if time.monotonic() > deadline:
            raise EmbeddedError(
                f"{name} was left running as process {process.pid} and does not stop. "
                f"End it (kill -9 {process.pid}) and start again."
            )
        time.sleep(0.02)


def _has_ended(process: psutil.Process) -> bool:
    # A container's first process may never collect ended ones: they stay as zombies.
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def last_lines(path: Path, count: int = 20) -> str:
    """Return the last lines of a log, or a remark that it is empty."""
    try:
        lines = path.read_text(errors="replace").splitlines()[-count:]
    except OSError:
        lines = []
    return "\n".join(lines) or "(the log is empty)"
