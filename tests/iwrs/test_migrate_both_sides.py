"""The accounts' tables stand in both schemas alike, and neither has a migration left to run."""

import pytest
from django.apps import apps

from iwrs.accounts.router import TWICE
from tests.roles import Logins

COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
     WHERE c.relnamespace = %s::regnamespace AND c.relkind = 'r' AND NOT a.attisdropped
       AND c.relname = ANY(%s)
"""
TRIGGERS = """
    SELECT c.relname, t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
     WHERE c.relnamespace = %s::regnamespace AND c.relname = ANY(%s)
       AND t.tgname LIKE 'pgtrigger%%'
"""


def tables() -> list[str]:
    return [each._meta.db_table for each in apps.get_models() if each._meta.app_label in TWICE]


@pytest.mark.parametrize("catalogue", [COLUMNS, TRIGGERS], ids=["columns", "triggers"])
def test_tables_that_exist_twice_are_alike(logins: Logins, catalogue: str) -> None:
    owner = logins.owner()
    blinded, unblinded = (
        set(owner.execute(catalogue, [schema, tables()]).fetchall())
        for schema in ("public", "unblinded")
    )
    assert blinded
    assert blinded == unblinded


def test_both_schemas_know_the_same_migrations(logins: Logins) -> None:
    owner = logins.owner()
    blinded, unblinded = (
        owner.execute(f"SELECT app, name FROM {schema}.django_migrations").fetchall()
        for schema in ("public", "unblinded")
    )
    assert len(blinded) == len(set(blinded)) > 100
    assert sorted(blinded) == sorted(unblinded)
