"""A real web process on loopback, with the login of its side: what threads and sockets can do."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [
    *(str(Path(sys.executable).parent / "granian"), "--interface", "wsgi"),
    *("--host", "127.0.0.1", "--workers", "1", "--blocking-threads", "8"),
    *("--http", "1", "--no-ws", "--workers-kill-timeout", "5", "iwrs.wsgi:application"),
]


@contextmanager
def running(database_url: str, log: Path, side: str = "blinded") -> Iterator[str]:
    """Start a server on `database_url`, give its address, and stop it afterwards."""
    port = free_port()
    environment = os.environ | {
        "IWRS_SIDE": side,
        "DATABASE_URL": database_url,
        "IWRS_POOL": "1",
        "IWRS_INSECURE_HTTP": "1",
    }
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*COMMAND, "--port", str(port)], cwd=ROOT, env=environment, stdout=out, stderr=out
        )
        try:
            wait_for(port, process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=20)


def wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until the server answers; say what it wrote when it does not."""
    for _ in range(300):
        if process.poll() is not None:
            break
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(log.read_text(encoding="utf-8", errors="replace"))
