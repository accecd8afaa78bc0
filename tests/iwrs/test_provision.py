"""Who may log in to the database and what each role may do, on a real server."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from iwrs.embedded import Services, start
from iwrs.provision import ROLES

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    folder = Path(tempfile.mkdtemp(prefix="iwrs-test-"))
    with start(folder, durable=False) as running:
        yield running
    shutil.rmtree(folder)


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
def test_wrong_or_missing_password_is_refused(services: Services, role: str, password: str) -> None:
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


@pytest.mark.requirement("REQ-024")
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


# More databases


def test_a_database_is_dropped_although_somebody_is_connected(services: Services) -> None:
    services.postgres.provision("other")
    with connect(services.postgres.url("iwrs_blinded", "other")) as session:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("CREATE TEMPORARY TABLE own (x int)")
        services.postgres.drop_database("other")
    services.postgres.drop_database("other")
    with services.postgres.superuser() as server:
        left = server.execute("SELECT datname FROM pg_database ORDER BY 1").fetchall()
    assert left == [("iwrs",), ("postgres",), ("template0",), ("template1",)]


# The command


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
    with connect(services.postgres.url("iwrs_owner", "second")) as session:
        session.execute("CREATE TABLE kept (x int)")
    services.postgres.drop_database("second")
