"""Ports for servers of tests."""

import os
import socket

# The two processes of a run take turns: neither is given a port that the other is about to use.
_PLACE = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


def free_port() -> int:
    """A port of 127.0.0.1 that nothing uses now, and that no other process of the run is given."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        if port // 2 % _PROCESSES == _PLACE:
            return port
