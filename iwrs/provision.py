"""Roles and databases: who may connect, and as what. The same code serves every deployment.

`python -m iwrs.provision` does it on a server that already runs (docker-compose).
Everything can be run again; it corrects what was changed by hand.
"""

import os
import sys
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

OWNER, BLINDED, UNBLINDED = "iwrs_owner", "iwrs_blinded", "iwrs_unblinded"
ROLES = (OWNER, BLINDED, UNBLINDED)
TEST_LOGIN = "iwrs_test"

# What a failed statement carries (names of subjects, a row with an arm) must not reach the
# server's log, which administrators read: no statement text, no parameters, and "terse" leaves
# out DETAIL, HINT, QUERY and CONTEXT. Only a superuser may set these, so a role cannot undo them.
LOG_SETTINGS = {
    "log_statement": "none",
    "log_min_duration_statement": "-1",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
}
# A request that takes half a minute has failed for the person who waits; a release may compute
# for a long time, and a migration as long as it needs.
ROLE_SETTINGS: dict[str, dict[str, str]] = {
    OWNER: {},
    BLINDED: {"statement_timeout": "30s", "idle_in_transaction_session_timeout": "60s"},
    UNBLINDED: {"statement_timeout": "15min", "idle_in_transaction_session_timeout": "30min"},
}
ATTRIBUTES = sql.SQL(
    "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT NOREPLICATION NOBYPASSRLS"
)


def connect(url: str, **options: Any) -> psycopg.Connection[Any]:
    """Connect with every statement in a transaction of its own."""
    return psycopg.connect(url, autocommit=True, **options)


def provision(superuser_url: str, database: str, passwords: Mapping[str, str]) -> None:
    """Create or correct the three roles and the database `database`.

    `superuser_url` names any existing database; `passwords` has one entry for each role.
    """
    with connect(superuser_url) as server:
        for role in ROLES:
            provision_role(server, role, passwords[role])
        if database not in _databases(server):
            create_database(server, database)
        for name in ("postgres", "template1", database):
            close_to_public(server, name)
    with connect(superuser_url, dbname=database) as inside:
        close_schema(inside)


def provision_role(server: psycopg.Connection[Any], role: str, password: str) -> None:
    """Create or correct one login without memberships or attributes."""
    name = sql.Identifier(role)
    if not server.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).rowcount:
        server.execute(sql.SQL("CREATE ROLE {}").format(name))
    server.execute(sql.SQL("ALTER ROLE {} WITH {}").format(name, ATTRIBUTES))
    _set_password(server, role, password)
    memberships = server.execute(
        "SELECT pg_get_userbyid(roleid), pg_get_userbyid(grantor) FROM pg_auth_members"
        " WHERE pg_get_userbyid(member) = %s",
        [role],
    ).fetchall()
    for group, grantor in memberships:
        revoke = sql.SQL("REVOKE {} FROM {} GRANTED BY {}")
        server.execute(revoke.format(*map(sql.Identifier, (group, role, grantor))))
    server.execute(sql.SQL("ALTER ROLE {} RESET ALL").format(name))
    for setting, value in (LOG_SETTINGS | ROLE_SETTINGS.get(role, {})).items():
        server.execute(
            sql.SQL("ALTER ROLE {} SET {} = {}").format(
                name, sql.Identifier(setting), sql.Literal(value)
            )
        )


def _set_password(server: psycopg.Connection[Any], role: str, password: str) -> None:
    # The SCRAM verifier is computed here, so that the password itself never travels in SQL.
    verifier = server.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
    statement = sql.SQL("ALTER ROLE {} PASSWORD {}")
    server.execute(statement.format(sql.Identifier(role), sql.Literal(verifier.decode())))


def provision_test_login(server: psycopg.Connection[Any], password: str) -> None:
    """Create the login of ordinary tests, which may SET ROLE to each of the three.

    It inherits nothing. Never call this in production: whoever holds this login is every role.
    """
    provision_role(server, TEST_LOGIN, password)
    for role in ROLES:
        statement = sql.SQL("GRANT {} TO {} WITH SET TRUE, INHERIT FALSE")
        server.execute(statement.format(sql.Identifier(role), sql.Identifier(TEST_LOGIN)))
    for database in _databases(server):
        close_to_public(server, database)


def create_database(
    server: psycopg.Connection[Any], database: str, template: str | None = None
) -> None:
    """Create a database of the owner; it copies `template` when one is named."""
    statement = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(
        sql.Identifier(database), sql.Identifier(OWNER), sql.Identifier(template or "template0")
    )
    server.execute(statement)


def close_to_public(server: psycopg.Connection[Any], database: str) -> None:
    """Let only our roles connect, and only to the owner's databases; no temporary tables."""
    name = sql.Identifier(database)
    server.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    ours = server.execute(
        "SELECT rolname FROM pg_database CROSS JOIN pg_roles WHERE datname = %s"
        " AND pg_get_userbyid(datdba) = %s AND rolname = ANY(%s)",
        [database, OWNER, [*ROLES, TEST_LOGIN]],
    ).fetchall()
    for (role,) in ours:
        grant = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
        server.execute(grant.format(name, sql.Identifier(role)))


def close_schema(inside: psycopg.Connection[Any]) -> None:
    """Give schema public to the owner, and take away what PUBLIC gets by default.

    New functions of the owner may be called by nobody until a migration grants it: PostgreSQL's
    default would open each gate to everybody between its creation and the REVOKE.
    """
    inside.execute("ALTER SCHEMA public OWNER TO iwrs_owner")
    inside.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    inside.execute(
        "ALTER DEFAULT PRIVILEGES FOR ROLE iwrs_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC"
    )


def _databases(server: psycopg.Connection[Any]) -> set[str]:
    return {name for (name,) in server.execute("SELECT datname FROM pg_database")}


def main(environment: Mapping[str, str]) -> int:
    """Provision the server named in the environment; return the exit code."""
    names = {
        "url": "IWRS_SUPERUSER_DATABASE_URL",
        OWNER: "IWRS_OWNER_DATABASE_PASSWORD",
        BLINDED: "IWRS_BLINDED_DATABASE_PASSWORD",
        UNBLINDED: "IWRS_UNBLINDED_DATABASE_PASSWORD",
    }
    missing = [name for name in names.values() if not environment.get(name)]
    if missing:
        print(f"Set {', '.join(missing)} in the environment.", file=sys.stderr)  # noqa: T201
        return 2
    passwords = {role: environment[names[role]] for role in ROLES}
    provision(environment[names["url"]], environment.get("IWRS_DATABASE", "iwrs"), passwords)
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
