"""Starts the processes of `iwrs.processes`, watches them and stops them in reverse order."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from iwrs.embedded import Services
from iwrs.embedded.state import (
    forget_child,
    last_lines,
    remember_child,
    stop_left_behind,
)
from iwrs.processes import PROCESSES, Process, command_line, environment

HOST = "127.0.0.1"
HEALTH_PATH = "/health/"
SECONDS_TO_ANSWER = 60
SECONDS_OF_GRACE = 15


class SupervisorError(RuntimeError):
    """A process could not run; the text says which one, why, and shows the end of its log."""


class Supervisor:
    """The processes of one site, on services that already run.

    `base` is the environment handed down without its credentials (default: this process's own).
    To use other ports, give `processes` with `dataclasses.replace(process, port=...)`.
    """

    def __init__(
        self,
        services: Services,
        *,
        processes: Sequence[Process] = PROCESSES,
        base: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        self.processes = tuple(processes)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._services = services
        self._base = dict(os.environ if base is None else base)
        self._directory = directory or Path(__file__).resolve().parent.parent

    def log_path(self, name: str) -> Path:
        """The log of one process: the two sides never share a file."""
        return self._services.state_dir / "logs" / f"{name}.log"

    def start(self) -> None:
        """Start all, and return when each web process answers on /health/ and none has ended.

        Raises `SupervisorError`; then nothing of ours is left running.
        """
        try:
            for process in self.processes:
                stop_left_behind(self._services.state_dir, process.name)
            for process in self.processes:
                self._check_port(process)
                self._launch(process)
            for process in self.processes:
                self._wait_until_healthy(process)
            self.check()
        except BaseException:
            self.stop()
            raise

    @staticmethod
    def _check_port(process: Process) -> None:
        # The web server shares a taken port without a word, and each would get half the requests.
        if process.port is None:
            return
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, process.port))
            except OSError as problem:
                raise SupervisorError(
                    f"Port {process.port}, wanted for {process.name}, cannot be used "
                    f"({problem.strerror}). Stop the program that uses it or choose another port."
                ) from problem

    def _launch(self, process: Process) -> None:
        state_dir = self._services.state_dir
        module, *arguments = command_line(process, state_dir=state_dir, host=HOST)
        descriptor = os.open(
            self.log_path(process.name), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600
        )
        with os.fdopen(descriptor, "ab") as log:
            child = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._directory,
                env=environment(process, self._services.urls, self._services.secrets, self._base),
                start_new_session=True,
            )
        self.running[process.name] = child
        remember_child(state_dir, process.name, child.pid)

    def _wait_until_healthy(self, process: Process) -> None:
        deadline = time.monotonic() + SECONDS_TO_ANSWER
        answer = "no answer"
        while process.port is not None:
            self.check()
            answer = _health(process.port)
            if answer == "200":
                return
            if time.monotonic() > deadline:
                raise SupervisorError(
                    f"{process.name} does not answer on port {process.port} after "
                    f"{SECONDS_TO_ANSWER} seconds (last: {answer}). {self._log_end(process.name)}"
                )
            time.sleep(0.1)

    def check(self) -> None:
        """Raise `SupervisorError` when a process has ended by itself."""
        for name, child in self.running.items():
            code = child.poll()
            if code is not None:
                raise SupervisorError(f"{name} ended with exit code {code}. {self._log_end(name)}")

    def _log_end(self, name: str) -> str:
        path = self.log_path(name)
        return f"The last lines of {path}:\n{last_lines(path)}"

    def stop(self) -> None:
        """Stop all in reverse order: SIGTERM, and after a grace the whole group is killed."""
        for name in reversed(list(self.running)):
            child = self.running.pop(name)
            with suppress(ProcessLookupError):
                child.terminate()
            with suppress(subprocess.TimeoutExpired):
                child.wait(SECONDS_OF_GRACE)
            # Also when the leader has ended: its own children must not outlive it.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            forget_child(self._services.state_dir, name)

    def __enter__(self) -> "Supervisor":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _health(port: int) -> str:
    """The HTTP status of the health page, or why there is none."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", HEALTH_PATH, headers={"Host": "localhost"})
        return str(connection.getresponse().status)
    except (OSError, http.client.HTTPException) as problem:
        return f"{type(problem).__name__}: {problem}"
    finally:
        connection.close()
