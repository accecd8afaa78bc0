"""Sealing what is new in the audit trail of this side, and where each chain lies."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import connection

MOST_ROWS = 10_000  # in one batch
SCHEMA_OF = {"blinded": "public", "unblinded": "unblinded"}


@dataclass(frozen=True)
class SealedTable:
    """A table whose rows are sealed. `is_history` is False for rows that are their own record."""

    name: str
    key: str
    columns: tuple[str, ...]
    is_history: bool


def sides() -> tuple[str, ...]:
    """The sides whose chain this process can read: its own; both for the owner."""
    return tuple(SCHEMA_OF) if settings.SIDE == "owner" else (settings.SIDE,)


def seal() -> int:
    """Seal every row of this side's history that is committed and not sealed. Returns how many.

    What another act is still writing is sealed by a later call. Sealing again changes nothing.
    """
    sealed = 0
    while True:
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {SCHEMA_OF[settings.SIDE]}.seal_history(%s)",
                [MOST_ROWS],
            )
            rows: int = cursor.fetchone()[0]
        sealed += rows
        if rows < MOST_ROWS:
            return sealed


_TABLES = """
    SELECT c.relname::text, k.attname::text, h.attname IS NOT NULL,
           (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
      FROM pg_class c
      JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary AND i.indnkeyatts = 1
      JOIN pg_attribute k ON k.attrelid = c.oid AND k.attnum = i.indkey[0]
      LEFT JOIN pg_attribute h ON h.attrelid = c.oid AND h.attname = 'pgh_label'
     WHERE c.relnamespace = %s::regnamespace AND c.relkind = 'r'
       AND (h.attname IS NOT NULL OR c.relname = ANY (%s::name[]))
     ORDER BY c.relname
"""


def sealed_tables(cursor: Any, schema: str, records: tuple[str, ...]) -> dict[str, SealedTable]:
    """The tables of a schema whose rows are sealed, by name."""
    cursor.execute(_TABLES, [schema, list(records)])
    return {
        name: SealedTable(name, key, tuple(columns), is_history)
        for name, key, is_history, columns in cursor.fetchall()
    }
