"""The embedded PostgreSQL and Redis started for real: what survives, and what is said."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from iwrs.embedded import EmbeddedError, Services, postgres, start
from iwrs.embedded.account import Account, open_the_way
from iwrs.embedded.state import remember_child, stop_left_behind

ROOT = Path(__file__).resolve().parents[2]
NewState = Callable[[], Path]


def _remove_at_end(folders: list[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder)


@pytest.fixture
def new_state() -> Iterator[NewState]:
    """State directories that another account may reach (pytest's own are closed to it)."""
    made: list[Path] = []

    def make() -> Path:
        made.append(Path(tempfile.mkdtemp(prefix="iwrs-test-")))
        return made[-1]

    yield make
    _remove_at_end(made)


@pytest.fixture(scope="module")
def stopped() -> Iterator[Path]:
    """A state directory that was started and stopped once."""
    folder = Path(tempfile.mkdtemp(prefix="iwrs-test-"))
    start(folder, durable=False).stop()
    yield folder
    _remove_at_end([folder])


@pytest.fixture
def state(stopped: Path, new_state: NewState) -> Path:
    """A copy of that directory; its own to break."""
    copy = new_state()
    subprocess.run(["cp", "-a", f"{stopped}/.", str(copy)], check=True)
    return copy


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    folder = Path(tempfile.mkdtemp(prefix="iwrs-test-"))
    with start(folder, durable=False) as running:
        yield running
    _remove_at_end([folder])


def connect(url: str, **options: str) -> psycopg.Connection:
    return psycopg.connect(url, autocommit=True, **options)


def test_second_start_keeps_data_and_passwords(state: Path) -> None:
    with start(state) as first:
        known = dict(first.secrets)
        with connect(first.urls.owner) as session:
            session.execute("CREATE TABLE kept AS SELECT 7 AS x")
    assert first.postgres.pid is None
    assert first.redis.pid is None
    assert stat.S_IMODE((state / "secrets.json").stat().st_mode) == 0o600
    with start(state) as second:
        assert second.secrets == known
        with connect(second.urls.owner) as session:
            assert session.execute("SELECT x FROM kept").fetchone() == (7,)


def test_second_start_while_running_names_the_process(services: Services) -> None:
    with pytest.raises(EmbeddedError, match=rf"already running.*kill {os.getpid()}\)"):
        start(services.state_dir)
    with connect(services.urls.blinded) as session:
        assert session.execute("SELECT 1").fetchone() == (1,)


def test_a_killed_server_comes_back_with_its_data(state: Path) -> None:
    with start(state) as first:
        with connect(first.urls.owner) as session:
            session.execute("CREATE TABLE kept AS SELECT 7 AS x")
        for pid in (first.postgres.pid, first.redis.pid):
            assert pid
            os.kill(pid, signal.SIGKILL)
    assert (state / "postgres" / "postmaster.pid").exists()
    with start(state) as second, connect(second.urls.owner) as session:
        assert session.execute("SELECT x FROM kept").fetchone() == (7,)


def run_command(state: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "iwrs.embedded", "--state", str(state)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_exports(command: subprocess.Popen[str]) -> dict[str, str]:
    assert command.stdout
    lines = [command.stdout.readline() for _ in range(5)]
    return dict(re.fullmatch(r"export (\w+)='?([^']+)'?\n", line).groups() for line in lines)


def servers_of(state: Path) -> set[psutil.Process]:
    cluster = str(state.resolve() / "postgres")
    note = state / "run" / "redis.json"
    found = {p for p in psutil.process_iter(["cmdline"]) if cluster in (p.info["cmdline"] or [])}
    if note.exists():
        found.add(psutil.Process(json.loads(note.read_text())["pid"]))
    return found


def has_ended(server: psutil.Process) -> bool:
    return not server.is_running() or server.status() == psutil.STATUS_ZOMBIE


def test_servers_of_a_killed_supervisor_are_replaced(state: Path) -> None:
    command = run_command(state)
    read_exports(command)
    command.kill()
    command.communicate()
    left = servers_of(state)
    assert len(left) == 2
    with start(state) as services, connect(services.urls.owner):
        assert all(has_ended(server) for server in left)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_command_prints_urls_and_ends_on_a_signal(state: Path, how: int) -> None:
    command = run_command(state)
    exports = read_exports(command)
    with connect(exports["IWRS_BLINDED_DATABASE_URL"]) as session:
        assert session.execute("SELECT current_user").fetchone() == ("iwrs_blinded",)
    with redis.Redis.from_url(exports["IWRS_UNBLINDED_REDIS_URL"]) as client:
        assert client.ping()
    assert set(exports) == {
        "IWRS_OWNER_DATABASE_URL",
        "IWRS_BLINDED_DATABASE_URL",
        "IWRS_UNBLINDED_DATABASE_URL",
        "IWRS_BLINDED_REDIS_URL",
        "IWRS_UNBLINDED_REDIS_URL",
    }
    command.send_signal(how)
    command.communicate(timeout=30)
    assert command.returncode == 0
    assert servers_of(state) == set()


def test_command_reports_an_error_in_plain_text(state: Path) -> None:
    (state / "file").write_text("")
    command = run_command(state / "file" / "state")
    out, err = command.communicate(timeout=30)
    assert command.returncode == 1
    assert out == ""
    assert "cannot be written (Not a directory)" in err
    assert "--state" in err
    assert "Traceback" not in err


def test_a_stale_pid_that_now_is_another_program_is_no_obstacle(state: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        pid_file = state / "postgres" / "postmaster.pid"
        pid_file.write_text(f"{other.pid}\n{state / 'postgres'}\n0\n5432\n")
        (state / "socket" / ".s.PGSQL.5432.lock").write_text(f"{other.pid}\n")
        (state / "run" / "redis.json").write_text(json.dumps({"pid": other.pid, "started": 1.0}))
        with start(state, durable=False) as services, connect(services.urls.owner):
            assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_child_left_behind_is_stopped(new_state: NewState) -> None:
    state = new_state()
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    remember_child(state, "worker", child.pid)
    stop_left_behind(state, "worker")
    assert child.poll() == -signal.SIGTERM
    assert list((state / "run").iterdir()) == []


def test_a_long_path_gets_a_short_socket(new_state: NewState) -> None:
    parent = new_state()
    parent.chmod(0o711)
    state = parent / ("long" * 25)
    with start(state, durable=False) as services:
        assert services.postgres.socket_dir.parent == Path("/tmp")
        with connect(services.urls.blinded):
            assert stat.S_IMODE(services.postgres.socket_dir.stat().st_mode) == 0o700
    services.postgres.socket_dir.rmdir()


def test_an_interrupted_first_start_is_repeated(new_state: NewState) -> None:
    state = new_state()
    (state / "postgres.new").mkdir()
    (state / "postgres.new" / "PG_VERSION").write_text("18\n")
    with start(state, durable=False) as services, connect(services.urls.owner):
        assert not (state / "postgres.new").exists()
        assert not (state / "initdb.password").exists()


def test_too_little_space_is_said_before_anything_is_written(
    new_state: NewState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "MINIMUM_FREE_BYTES", 10**18)
    state = new_state()
    with pytest.raises(EmbeddedError, match=r"too little space.* MB free, 1000000000000 MB needed"):
        start(state)
    assert not (state / "postgres").exists()
    monkeypatch.undo()
    start(state, durable=False).stop()


def test_lost_or_broken_secrets_are_explained(state: Path) -> None:
    path = state / "secrets.json"
    kept = path.read_text()
    path.write_text("{")
    with pytest.raises(EmbeddedError, match="not readable as JSON"):
        start(state)
    path.unlink()
    with pytest.raises(EmbeddedError, match=r"passwords \(secrets.json\) are gone"):
        start(state)
    path.write_text(json.dumps(json.loads(kept) | {"postgres": "another"}))
    with pytest.raises(EmbeddedError, match=r"superuser cannot log in.*restore that one"):
        start(state)
    assert servers_of(state) == set()


def test_a_server_that_cannot_start_shows_its_log(state: Path) -> None:
    (state / "postgres" / "PG_VERSION").write_text("12\n")
    with pytest.raises(EmbeddedError, match=r"(?s)stopped at once.*incompatible with server"):
        start(state)


def test_a_taken_redis_port_is_named_and_nothing_is_left(state: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(EmbeddedError, match=rf"Port {port}.*another port"):
            start(state, durable=False, redis_port=port)
    assert servers_of(state) == set()
    with start(state, durable=False, redis_port=port) as services:
        assert services.redis.port == port


def test_a_directory_closed_to_the_service_account_is_named(new_state: NewState) -> None:
    closed = new_state()
    stranger = Account("stranger", 65533, 65533)
    (closed / "state").mkdir(mode=0o700)
    closed.chmod(0o700)
    with pytest.raises(EmbeddedError, match=rf"stranger.*chmod o\+x {closed}$"):
        open_the_way(closed / "state" / "postgres", stranger, own=closed / "state")
    closed.chmod(0o701)
    open_the_way(closed / "state" / "postgres", stranger, own=closed / "state")
    assert stat.S_IMODE((closed / "state").stat().st_mode) == 0o701


def test_durable_is_the_default(state: Path) -> None:
    for durable, wanted in ((True, "on"), (False, "off")):
        with start(state, durable=durable) as services, services.postgres.superuser() as server:
            for name in ("fsync", "synchronous_commit", "full_page_writes"):
                assert server.execute(f"SHOW {name}").fetchone() == (wanted,)
            assert server.execute("SHOW max_connections").fetchone() == ("200",)


def test_stop_may_be_called_twice_and_is_quick(state: Path) -> None:
    services = start(state, durable=False)
    session = connect(services.urls.blinded)
    begun = time.monotonic()
    services.stop()
    services.stop()
    assert time.monotonic() - begun < 10
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
