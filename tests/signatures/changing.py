"""Changing a row after somebody signed it, as only who owns the database can."""

from django.db import connection, transaction
from django.db.models import Model


def change_as_owner(row: Model, **changes: object) -> None:
    """Set columns of a row as the owner of the database, who has taken the triggers off.

    The triggers refuse it to the owner too while they are on.
    """
    table = connection.ops.quote_name(row._meta.db_table)
    columns = ", ".join(f"{connection.ops.quote_name(name)} = %s" for name in changes)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # else the table has work that waits
        cursor.execute("SET ROLE iwrs_owner")
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(f"UPDATE {table} SET {columns} WHERE id = %s", [*changes.values(), row.pk])
        assert cursor.rowcount == 1
        cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        cursor.execute("SET ROLE iwrs_blinded")
