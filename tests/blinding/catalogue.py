"""Questions to PostgreSQL's catalogue, asked of whatever exists, so of what is added later too."""

from typing import Any

import psycopg

COLUMN_RIGHTS = ["SELECT", "INSERT", "UPDATE", "REFERENCES"]
TABLE_RIGHTS = [*COLUMN_RIGHTS, "DELETE", "TRUNCATE", "TRIGGER", "MAINTAIN"]
SEQUENCE_RIGHTS = ["USAGE", "SELECT", "UPDATE"]


def column(connection: psycopg.Connection, query: str, *parameters: Any) -> list[Any]:
    """The first column of a query's rows."""
    return [row[0] for row in connection.execute(query, parameters).fetchall()]


def relations(connection: psycopg.Connection, schema: str, kinds: str = "rpvmf") -> list[str]:
    """Qualified names of the relations of a schema, of these kinds (`pg_class.relkind`)."""
    return column(
        connection,
        "SELECT format('%%I.%%I', n.nspname, c.relname) FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relkind::text = ANY(%s) ORDER BY 1",
        schema,
        list(kinds),
    )


def rights_on_tables(connection: psycopg.Connection, role: str, schema: str) -> set[str]:
    """`RIGHT on table` for each right that a role has on a whole table or view."""
    rows = connection.execute(
        "SELECT r || ' on ' || c.relname FROM pg_class c, unnest(%s::text[]) r"
        " WHERE c.relnamespace = %s::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
        " AND has_table_privilege(%s, c.oid, r)",
        [TABLE_RIGHTS, schema, role],
    )
    return {row[0] for row in rows}


def rights_on_columns(connection: psycopg.Connection, role: str, schema: str) -> set[str]:
    """`RIGHT on table.column` for each right that a role has on a column."""
    rows = connection.execute(
        "SELECT r || ' on ' || c.relname || '.' || a.attname"
        " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid, unnest(%s::text[]) r"
        " WHERE c.relnamespace = %s::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
        " AND a.attnum > 0 AND NOT a.attisdropped AND has_column_privilege(%s, c.oid, a.attnum, r)",
        [COLUMN_RIGHTS, schema, role],
    )
    return {row[0] for row in rows}


def rights_on_sequences(connection: psycopg.Connection, role: str, schema: str) -> set[str]:
    """`RIGHT on sequence`."""
    rows = connection.execute(
        "SELECT r || ' on ' || c.relname FROM pg_class c, unnest(%s::text[]) r"
        " WHERE c.relnamespace = %s::regnamespace AND c.relkind = 'S'"
        " AND has_sequence_privilege(%s, c.oid, r)",
        [SEQUENCE_RIGHTS, schema, role],
    )
    return {row[0] for row in rows}


def functions(connection: psycopg.Connection, where: str) -> set[str]:
    """`schema.name(arguments) returns type` of our own functions that satisfy `where` (on p)."""
    rows = connection.execute(
        "SELECT format('%%s.%%s(%%s) returns %%s', n.nspname, p.proname,"
        " pg_get_function_identity_arguments(p.oid), pg_get_function_result(p.oid))"
        " FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace"
        " WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND (" + where + ")",
        [],
    )
    return {row[0] for row in rows}


def history_tables(connection: psycopg.Connection) -> list[str]:
    """Tables that hold the audit trail, of both sides."""
    return column(
        connection,
        "SELECT attrelid::regclass::text FROM pg_attribute JOIN pg_class c ON c.oid = attrelid"
        " WHERE attname = 'pgh_label' AND c.relkind = 'r' ORDER BY 1",
    )
