"""Changing sides for a few lines of an ordinary test.

`SET ROLE` is no barrier (whoever may set a role may reset it), so tests of the blind log in as
the real roles instead: see the `logins` fixture.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.db import connection

from tests import bootstrap


@contextmanager
def as_unblinded() -> Iterator[None]:
    """Run a few lines as `iwrs_unblinded`, with the search path of the unblinded side."""
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE iwrs_unblinded; SET search_path = unblinded, public")
    try:
        yield
    finally:
        if not connection.needs_rollback:
            with connection.cursor() as cursor:
                cursor.execute("SET ROLE iwrs_blinded; SET search_path = public")


class Logins:
    """Connections with the real logins on this process's database."""

    def __init__(self) -> None:
        self._open: list[psycopg.Connection] = []

    def url(self, who: str) -> str:
        return bootstrap.url(who)

    def _connect(self, who: str) -> psycopg.Connection:
        made = psycopg.connect(self.url(who), autocommit=True)
        self._open.append(made)
        return made

    def blinded(self) -> psycopg.Connection:
        return self._connect("blinded")

    def unblinded(self) -> psycopg.Connection:
        return self._connect("unblinded")

    def owner(self) -> psycopg.Connection:
        return self._connect("owner")

    def superuser(self) -> psycopg.Connection:
        """Who owns the server: no privilege and, as a replica, no trigger stops it."""
        made = self._connect("superuser")
        made.execute("SET session_replication_role = replica")
        return made

    def close(self) -> None:
        for each in self._open:
            each.close()


_KEPT = "('django_migrations', 'django_content_type', 'auth_permission')"
_LARGE = 2**20  # bytes; dead rows count too, since only `blinding.coupled` vacuums


def empty_everything() -> None:
    """Empty every table of both schemas but the migrations, without triggers or foreign keys.

    A few hundred rows are deleted in a tenth of the time that it takes to truncate all tables.
    """
    with psycopg.connect(bootstrap.url("superuser"), autocommit=True) as server:
        tables = server.execute(
            "SELECT format('%I.%I', schemaname, tablename),"
            " pg_relation_size(format('%I.%I', schemaname, tablename))"
            " FROM pg_tables WHERE schemaname IN ('public', 'unblinded')"
            f" AND tablename NOT IN {_KEPT}"
        ).fetchall()
        if any(size > _LARGE for _, size in tables):
            server.execute("TRUNCATE " + ", ".join(name for name, _ in tables))
            return
        server.execute("SET session_replication_role = replica")
        server.execute("; ".join(f"DELETE FROM {name}" for name, size in tables if size))
