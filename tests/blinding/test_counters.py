"""The counters of the gates survive a crash of the server exactly."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from os import kill
from pathlib import Path

import pytest

from iwrs.embedded import start
from tests.factories import ROOT

COUNTERS = (ROOT / "iwrs" / "sql" / "gates" / "0_open_calls.sql").read_text(encoding="utf-8")


@pytest.fixture
def state() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="iwrs-crash-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def after_a_crash(state: Path, draw: str) -> int:
    """Draw the counter of stratum 1 twice, kill the server, start it again, read the counter."""
    with start(state) as services:
        with services.postgres.superuser(services.database) as server:
            server.execute("CREATE SCHEMA unblinded")
            server.execute("CREATE TABLE public.dispensing_cohort (id bigint)")
            server.execute(COUNTERS)
            server.execute("SELECT unblinded.open_calls('stratum', 1)")
            for _ in range(2):
                server.execute(draw)
        pid = services.postgres.pid
        assert pid is not None
        kill(pid, signal.SIGKILL)
    with start(state) as services, services.postgres.superuser(services.database) as server:
        [value] = server.execute("SELECT unblinded.calls_made('stratum', 1)").fetchone()
        return value


def test_a_crash_counts_no_call_that_nobody_made(state):
    assert after_a_crash(state, "SELECT unblinded.draw_call('stratum', 1)") == 2


def test_nextval_would_jump(state):
    assert after_a_crash(state, "SELECT nextval('unblinded.calls_stratum_1')") > 2
