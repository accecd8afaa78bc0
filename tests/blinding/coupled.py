"""Two copies of one database that differ in arms alone, and what a blinded login sees in each."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
from django.db import connection, connections
from psycopg import sql

from iwrs import provision
from tests import bootstrap

SUFFIXES = ("_as_it_is", "_swapped")


@contextmanager
def copies(more: str = "") -> Iterator[tuple[str, str]]:
    """Names (with `more`) of two copies of this process's database, dropped afterwards."""
    names = tuple(bootstrap.DATABASE + suffix + more for suffix in SUFFIXES)
    connections.close_all()  # that of the unblinded accounts too, which a test before may have left
    _fill_holes()
    with ExitStack() as undo:
        server = undo.enter_context(psycopg.connect(bootstrap.url("server"), autocommit=True))
        for name in names:
            _drop(server, name)
            provision.create_database(server, name, bootstrap.DATABASE)
            provision.close_to_public(server, name)
            undo.callback(_drop, server, name)
            _keep_dead_rows(undo, name)
        yield names[0], names[1]
        connection.close()


def _fill_holes() -> None:
    """Write the tables anew, without the room that rows of earlier tests left.

    Which page a new row goes to, and how many rows are read before it is found, would else depend
    on the tests before. Where two plays give different kits, by their public numbers, that is
    enough of a difference to be counted.
    """
    with login("owner", bootstrap.DATABASE) as owner:
        tables = owner.execute(
            "SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables"
            " WHERE schemaname IN ('public', 'unblinded') AND tableowner = current_user"
            " AND pg_relation_size(format('%I.%I', schemaname, tablename)) > 0"
        ).fetchone()[0]
        owner.execute("SET lock_timeout = '10s'")  # of a session that a test before has left open
        owner.execute(f"VACUUM FULL {tables}")


def _keep_dead_rows(undo: ExitStack, database: str) -> None:
    """Hold an old snapshot, so that no page of the copy is tidied up.

    When PostgreSQL tidies a page depends on every session of the database, those that are just
    ending too, and would make two copies differ by chance. What was rolled back it may tidy all
    the same. The page that a session fills next depends on the whole server, as dropping any
    database makes every session forget it: hence a server for each process, see `bootstrap`.
    """
    with login("owner", database) as owner:
        owner.execute("ANALYZE")
        # Afterwards, for statistics leave dead rows, which the first to read them would tidy up.
        # FREEZE waits for each page; without it, one that a checkpoint just writes is passed by.
        owner.execute("VACUUM (FREEZE)")
    holder = undo.enter_context(login("owner", database))
    holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    holder.execute("SELECT 1")


def _drop(server: psycopg.Connection, name: str) -> None:
    server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def login(who: str, database: str) -> psycopg.Connection:
    """A connection with a real login to one of the copies."""
    return psycopg.connect(bootstrap.url(who), dbname=database, autocommit=True)


@contextmanager
def django_on(database: str) -> Iterator[None]:
    """Let Django's connection use a copy for a block of code."""
    before = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = database
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = before


def rewrite_arms(database: str, entries: Mapping[int, str], contents: Mapping[int, str]) -> None:
    """Give list entries and kits (by key) these arms. Rows keep their place on disk's pages.

    Both copies are rewritten, one of them with the arms it has: a copy must not differ by the
    number of its dead rows either.
    """
    with login("owner", database) as owner:
        for table, key, arms in (
            ("unblinded.list_entry", "id", entries),
            ("unblinded.allocation", "entry_id", entries),
            ("unblinded.kit_content", "kit_id", contents),
            ("unblinded.cover_kit", "kit_id", contents),
        ):
            # In two steps: two kits of one place cannot have the same arm even for a moment. A
            # place that holds a draw has no arm.
            owner.execute(f"UPDATE {table} SET arm = arm || '~' WHERE arm <> ''")
            owner.execute(
                f"UPDATE {table} t SET arm = new.arm"
                f" FROM unnest(%s::bigint[], %s::text[]) AS new(key, arm)"
                f" WHERE t.{key} = new.key AND t.arm <> ''",
                [list(arms), list(arms.values())],
            )
        owner.execute(
            "UPDATE unblinded.forced_allocation SET arm = arm || '~' WHERE told_entry_id > 0"
        )
        owner.execute(
            "UPDATE unblinded.forced_allocation f SET arm = e.arm"
            " FROM unblinded.list_entry e WHERE e.id = f.told_entry_id"
        )
        owner.execute("ANALYZE")


def change_function(owner: psycopg.Connection, name: str, *edits: tuple[str, str]) -> None:
    """Replace parts of a function's text; each part must be there."""
    owner.execute("DO 'BEGIN END'")  # loads the language, whose settings the gates pin
    [text] = owner.execute("SELECT pg_get_functiondef(%s::regproc)", [name]).fetchone()
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new)
    owner.execute(text)


def arms(database: str) -> tuple[dict[int, str], dict[int, str]]:
    """The arm of each list entry and of each kit, as they are."""
    with login("owner", database) as owner:
        entries = owner.execute("SELECT id, arm FROM unblinded.list_entry").fetchall()
        contents = owner.execute("SELECT kit_id, arm FROM unblinded.kit_content").fetchall()
    return dict(entries), dict(contents)


def swapped(of: Mapping[int, str], keys: set[int] | None = None) -> dict[int, str]:
    """The other arm for these keys (default: all)."""
    one, other = sorted(set(of.values()))
    turned = {one: other, other: one}
    return {key: turned[arm] if keys is None or key in keys else arm for key, arm in of.items()}


def differences(first: Any, second: Any, at: str = "") -> dict[str, Any]:
    """What is not equal, by its path."""
    if isinstance(first, dict) and isinstance(second, dict) and first.keys() == second.keys():
        pairs = [(f"{at}/{key}", first[key], second[key]) for key in first]
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        pairs = [(f"{at}/{n}", *both) for n, both in enumerate(zip(first, second, strict=True))]
    else:
        return {} if first == second else {at: (first, second)}
    found = {}
    for path, one, other in pairs:
        found |= differences(one, other, path)
    return found
