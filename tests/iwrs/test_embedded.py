"""The embedded PostgreSQL and Redis, started for real: who may log in, and what survives."""

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
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from kombu import Connection
from redis.exceptions import AuthenticationError, NoPermissionError

from iwrs.embedded import EmbeddedError, Services, postgres, start
from iwrs.embedded.account import Account, open_the_way
from iwrs.provision import ROLES
from iwrs.embedded.state import remember_child, stop_left_behind
from iwrs.processes import broker_transport_options

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
def services() -> Iterator[Services]:
    folder = Path(tempfile.mkdtemp(prefix="iwrs-test-"))
    with start(folder, durable=False) as running:
        yield running
    _remove_at_end([folder])


def connect(url: str, **options: str) -> psycopg.Connection:
    return psycopg.connect(url, autocommit=True, **options)


def url_of(services: Services, role: str) -> str:
    return getattr(services.urls, role.removeprefix("iwrs_"))


# Who may log in


@pytest.mark.parametrize("role", ROLES)
def test_each_url_logs_in_as_its_own_role(services: Services, role: str) -> None:
    with connect(url_of(services, role)) as session:
        assert session.execute("SELECT session_user, current_user").fetchone() == (role, role)


@pytest.mark.parametrize("role", [*ROLES, "postgres"])
@pytest.mark.parametrize("password", ["wrong", ""])
def test_wrong_or_missing_password_is_refused(
    services: Services, role: str, password: str
) -> None:
    place = f"host={services.postgres.socket_dir} port=5432 dbname=iwrs user={role}"
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"{place} password={password}" if password else place)


def test_every_rule_of_the_server_asks_for_scram(services: Services) -> None:
    with services.postgres.superuser() as server:
        rules = server.execute("SELECT type, auth_method FROM pg_hba_file_rules").fetchall()
        verifiers = server.execute("SELECT rolpassword FROM pg_authid WHERE rolcanlogin").fetchall()
    assert rules == [("local", "scram-sha-256")]
    assert len(verifiers) >= 4
    assert all(verifier.startswith("SCRAM-SHA-256$") for (verifier,) in verifiers)


def test_nothing_listens_on_a_network_port_but_redis_on_loopback(services: Services) -> None:
    assert services.postgres.pid
    assert services.redis.pid
    assert psutil.Process(services.postgres.pid).net_connections("inet") == []
    listening = {
        place.laddr.ip
        for place in psutil.Process(services.redis.pid).net_connections("inet")
        if place.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_servers_do_not_run_as_root(services: Services) -> None:
    for pid in (services.postgres.pid, services.redis.pid):
        assert psutil.Process(pid).uids().real != 0
    assert bool(services.notes) == (os.geteuid() == 0)


# What the roles may do


def test_roles_have_no_attributes_and_no_memberships(services: Services) -> None:
    with services.postgres.superuser() as server:
        attributes = server.execute(
            "SELECT rolname, rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolinherit,"
            " rolreplication, rolbypassrls FROM pg_roles WHERE rolname = ANY(%s)",
            [list(ROLES)],
        ).fetchall()
        memberships = server.execute(
            "SELECT 1 FROM pg_auth_members JOIN pg_roles ON pg_roles.oid = member"
            " WHERE rolname = ANY(%s)",
            [list(ROLES)],
        ).fetchall()
    assert sorted(attributes) == sorted((role, True, *[False] * 6) for role in ROLES)
    assert memberships == []


@pytest.mark.parametrize("role", ["iwrs_blinded", "iwrs_unblinded"])
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE public.own (x int)",
        "CREATE TEMPORARY TABLE own (x int)",
        "CREATE SCHEMA own",
        "CREATE DATABASE own",
        "CREATE ROLE own",
        "SET ROLE iwrs_owner",
        "SET ROLE iwrs_unblinded; SET ROLE iwrs_blinded",
        "SET log_error_verbosity = 'verbose'",
        "SET log_min_error_statement = 'error'",
        "COPY (SELECT 1) TO '/tmp/iwrs-never'",
        "COPY (SELECT 1) TO PROGRAM 'cat'",
        "SELECT rolpassword FROM pg_authid",
    ],
)
def test_application_roles_are_refused(services: Services, role: str, statement: str) -> None:
    with (
        connect(url_of(services, role)) as session,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        session.execute(statement)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("database", ["postgres", "template1"])
def test_roles_may_connect_to_their_own_database_only(
    services: Services, role: str, database: str
) -> None:
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        connect(url_of(services, role), dbname=database)


def test_owner_may_create_schemas_tables_and_temporary_tables(services: Services) -> None:
    with connect(services.urls.owner) as session:
        session.execute("CREATE SCHEMA own; CREATE TABLE own.kept (x int); DROP SCHEMA own CASCADE")
        session.execute("CREATE TEMPORARY TABLE passing (x int)")


def test_new_functions_are_closed_until_granted(services: Services) -> None:
    with connect(services.urls.owner) as session:
        session.execute("CREATE FUNCTION public.secret() RETURNS int RETURN 1")
    try:
        with (
            connect(services.urls.blinded) as session,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            session.execute("SELECT public.secret()")
    finally:
        with connect(services.urls.owner) as session:
            session.execute("DROP FUNCTION public.secret()")


def test_blinded_statements_have_a_time_limit(services: Services) -> None:
    with connect(services.urls.blinded) as session:
        assert session.execute("SHOW statement_timeout").fetchone() == ("30s",)
        idle = session.execute("SHOW idle_in_transaction_session_timeout").fetchone()
        assert idle == ("1min",)


def test_a_failed_statement_leaves_no_values_in_the_server_log(services: Services) -> None:
    with connect(services.urls.owner) as session:
        session.execute("CREATE TABLE arms (subject text PRIMARY KEY, arm text)")
        session.execute("INSERT INTO arms VALUES ('HIDDEN-1', 'HIDDEN-2')")
        with pytest.raises(psycopg.errors.UniqueViolation) as refused:
            session.execute("INSERT INTO arms VALUES (%s, %s)", ["HIDDEN-1", "HIDDEN-3"])
        session.execute("DROP TABLE arms")
    assert "HIDDEN-1" in str(refused.value)
    log = services.postgres.log.read_text()
    assert "duplicate key value" in log
    assert "HIDDEN" not in log


def test_provisioning_again_takes_away_what_was_given_by_hand(services: Services) -> None:
    with services.postgres.superuser() as server:
        server.execute("ALTER ROLE iwrs_blinded SUPERUSER CREATEROLE BYPASSRLS INHERIT")
        server.execute("GRANT pg_read_all_data TO iwrs_blinded")
        server.execute("GRANT iwrs_unblinded TO iwrs_blinded")
        server.execute("GRANT CONNECT, TEMPORARY ON DATABASE iwrs TO PUBLIC")
    services.postgres.provision("iwrs")
    test_roles_have_no_attributes_and_no_memberships(services)
    test_application_roles_are_refused(
        services, "iwrs_blinded", "CREATE TEMPORARY TABLE own (x int)"
    )


def test_test_login_inherits_nothing_and_may_become_each_role(services: Services) -> None:
    services.postgres.provision_test_login("only-for-tests")
    place = f"postgresql://iwrs_test:only-for-tests@/iwrs?host={services.postgres.socket_dir}"
    with connect(services.urls.owner) as session:
        session.execute("CREATE TABLE closed (x int)")
    with connect(place) as session:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("SELECT * FROM closed")
        for role in ROLES:
            session.execute(f"SET ROLE {role}")
            assert session.execute("SELECT current_user").fetchone() == (role,)
            session.execute("RESET ROLE")
        session.execute("SET ROLE iwrs_owner; DROP TABLE closed")
    with services.postgres.superuser() as server:
        server.execute("DROP OWNED BY iwrs_test; DROP ROLE iwrs_test")


# Databases for tests


def test_a_database_is_created_cloned_and_dropped(services: Services) -> None:
    services.postgres.create_database("pattern")
    with connect(services.urls_for("pattern").owner) as session:
        session.execute("CREATE TABLE kept AS SELECT 7 AS x")
    services.postgres.create_database("copy", template="pattern")
    with connect(services.urls_for("copy").owner) as session:
        assert session.execute("SELECT x FROM kept").fetchone() == (7,)
        services.postgres.drop_database("copy")  # although somebody is connected
    with connect(services.urls_for("pattern").blinded) as session:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("CREATE TEMPORARY TABLE own (x int)")
    services.postgres.drop_database("pattern")
    services.postgres.drop_database("pattern")
    with services.postgres.superuser() as server:
        left = server.execute("SELECT datname FROM pg_database ORDER BY 1").fetchall()
    assert left == [("iwrs",), ("postgres",), ("template0",), ("template1",)]


def test_cloning_waits_until_the_template_is_free(services: Services) -> None:
    session = connect(services.urls.owner)
    closing = threading.Timer(0.5, session.close)
    closing.start()
    services.postgres.create_database("copy", template="iwrs")
    closing.join()
    services.postgres.drop_database("copy")


def test_cloning_gives_up_with_a_message(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "SECONDS_TO_RETRY", 0.1)
    with (
        connect(services.urls.owner),
        pytest.raises(EmbeddedError, match=r'(?s)"iwrs" is being accessed.*Close those'),
    ):
        services.postgres.create_database("copy", template="iwrs")


# Redis


def test_redis_refuses_strangers(services: Services) -> None:
    port = services.redis.port
    for url in (f"redis://127.0.0.1:{port}/0", f"redis://blinded:wrong@127.0.0.1:{port}/0"):
        with redis.Redis.from_url(url) as client, pytest.raises(AuthenticationError):
            client.ping()


@pytest.mark.parametrize(
    ("side", "allowed", "refused"),
    [
        ("blinded", ["blinded", "blinded:unacked", "unblinded"], ["unblinded:unacked", "other"]),
        ("unblinded", ["unblinded", "unblinded:unacked"], ["blinded", "blinded:unacked"]),
    ],
)
def test_redis_users_touch_their_own_keys(
    services: Services, side: str, allowed: list[str], refused: list[str]
) -> None:
    with redis.Redis.from_url(getattr(services.urls, f"redis_{side}")) as client:
        for key in allowed:
            assert client.exists(key) == 0
        for key in refused:
            with pytest.raises(NoPermissionError):
                client.exists(key)
            with pytest.raises(NoPermissionError):
                client.eval("return redis.call('GET', KEYS[1])", 1, key)
        for command in (["CONFIG", "GET", "*"], ["ACL", "LIST"], ["KEYS", "*"], ["FLUSHALL"]):
            with pytest.raises(NoPermissionError):
                client.execute_command(*command)
        with pytest.raises(NoPermissionError):
            client.publish("other", "text")


def test_a_wake_up_passes_and_is_hidden_while_in_progress(services: Services) -> None:
    def broker(side: str) -> Connection:
        url = getattr(services.urls, f"redis_{side}")
        return Connection(url, transport_options=broker_transport_options(side))

    with broker("blinded") as sender, broker("unblinded") as receiver:
        sender.SimpleQueue("unblinded").put({"pk": 5})
        message = receiver.SimpleQueue("unblinded").get(timeout=5)
        assert message.payload == {"pk": 5}
        with redis.Redis.from_url(services.urls.redis_unblinded) as client:
            assert client.hlen("unblinded:unacked") == 1
        with redis.Redis.from_url(services.urls.redis_blinded) as client:
            assert client.llen("unblinded") == 0
            with pytest.raises(NoPermissionError):
                client.hgetall("unblinded:unacked")
        message.ack()


# Starting, stopping, and what goes wrong


def test_second_start_keeps_data_and_passwords(new_state: NewState) -> None:
    state = new_state()
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


def test_a_killed_server_comes_back_with_its_data(new_state: NewState) -> None:
    state = new_state()
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


def test_servers_of_a_killed_supervisor_are_replaced(new_state: NewState) -> None:
    state = new_state()
    command = run_command(state)
    read_exports(command)
    command.kill()
    command.communicate()
    left = servers_of(state)
    assert len(left) == 2
    with start(state) as services, connect(services.urls.owner):
        assert not any(server.is_running() for server in left)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_command_prints_urls_and_ends_on_a_signal(new_state: NewState, how: int) -> None:
    state = new_state()
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


def test_command_reports_an_error_in_plain_text(new_state: NewState) -> None:
    state = new_state()
    (state / "file").write_text("")
    command = run_command(state / "file" / "state")
    out, err = command.communicate(timeout=30)
    assert command.returncode == 1
    assert out == ""
    assert "cannot be written (Not a directory)" in err
    assert "--state" in err
    assert "Traceback" not in err


def test_a_stale_pid_that_now_is_another_program_is_no_obstacle(new_state: NewState) -> None:
    state = new_state()
    start(state, durable=False).stop()
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
    reaper = threading.Thread(target=child.wait)
    reaper.start()
    stop_left_behind(state, "worker")
    reaper.join(5)
    assert child.returncode == -signal.SIGTERM
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


def test_lost_or_broken_secrets_are_explained(new_state: NewState) -> None:
    state = new_state()
    start(state, durable=False).stop()
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


def test_a_server_that_cannot_start_shows_its_log(new_state: NewState) -> None:
    state = new_state()
    start(state, durable=False).stop()
    (state / "postgres" / "PG_VERSION").write_text("12\n")
    with pytest.raises(EmbeddedError, match=r"(?s)stopped at once.*incompatible with server"):
        start(state)


def test_a_taken_redis_port_is_named_and_nothing_is_left(new_state: NewState) -> None:
    state = new_state()
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


def provision_with(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "iwrs.provision"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
    )


def test_provisioning_command_serves_a_running_server(services: Services) -> None:
    done = provision_with({})
    assert done.returncode == 2
    assert "Set IWRS_SUPERUSER_DATABASE_URL, IWRS_OWNER_DATABASE_PASSWORD" in done.stderr
    done = provision_with(
        {
            "IWRS_SUPERUSER_DATABASE_URL": services.postgres.url("postgres", "postgres"),
            "IWRS_DATABASE": "second",
            **{f"{r.upper()}_DATABASE_PASSWORD": services.secrets[r] for r in ROLES},
        }
    )
    assert (done.returncode, done.stderr) == (0, "")
    with connect(services.urls_for("second").owner) as session:
        session.execute("CREATE TABLE kept (x int)")
    services.postgres.drop_database("second")


def test_durable_is_the_default(new_state: NewState) -> None:
    state = new_state()
    for durable, wanted in ((True, "on"), (False, "off")):
        with start(state, durable=durable) as services, services.postgres.superuser() as server:
            for name in ("fsync", "synchronous_commit", "full_page_writes"):
                assert server.execute(f"SHOW {name}").fetchone() == (wanted,)
            assert server.execute("SHOW max_connections").fetchone() == ("200",)


def test_stop_may_be_called_twice_and_is_quick(new_state: NewState) -> None:
    services = start(new_state(), durable=False)
    session = connect(services.urls.blinded)
    begun = time.monotonic()
    services.stop()
    services.stop()
    assert time.monotonic() - begun < 10
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
