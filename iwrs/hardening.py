"""After every migrate, the owner closes what a new table or trigger may have left open."""

from pathlib import Path
from typing import Any

from django.db import connections

from iwrs.audit import RECORDS

SQL = Path(__file__).parent / "sql"
SIDE_OF = {"public": "blinded", "unblinded": "unblinded"}

# Audit triggers run as the invoker by default: then the application role could write history
# itself, or skip a trigger with set_config('pgtrigger.ignore', ...). As definers with a pinned
# path they need no privilege of the caller, and the switch is gone. Accounts stand in both schemas:
# a trigger of the unblinded ones is made in `unblinded`, and writes its history there.
_TRIGGERS_AS_OWNER = r"""
DO $$
DECLARE f regprocedure; v_own text;
BEGIN
    FOR f, v_own IN
             SELECT p.oid, CASE n.nspname WHEN 'unblinded' THEN 'unblinded, ' ELSE '' END
               FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
             WHERE n.nspname IN ('public', 'unblinded')
               AND (p.proname = '_pgh_attach_context'
                    OR p.proname LIKE 'pgtrigger\_%' AND p.prosrc LIKE '%pgh_label%') LOOP
        EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER '
                       'SET search_path = pg_catalog, %spublic, pg_temp', f, v_own);
    END LOOP;
END $$;
"""
_NO_SWITCH = """
CREATE OR REPLACE FUNCTION public._pgtrigger_should_ignore(trigger_name name)
RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';
GRANT EXECUTE ON FUNCTION public._pgtrigger_should_ignore(name) TO iwrs_blinded, iwrs_unblinded;
"""


def harden(using: str = "default", **_: Any) -> None:
    """Apply privileges and make the audit triggers independent of their caller.

    Runs as `iwrs_owner`, after the migrations of either alias, when every room's tables exist: the
    accounts of unblinded staff are made last, by an alias of their own.
    """
    with connections[using].cursor() as cursor:
        cursor.execute(
            "SELECT to_regclass('public.dsmb_paperpack') IS NOT NULL"
            " AND to_regclass('unblinded.list_notice') IS NOT NULL"
            " AND to_regclass('unblinded.paper_kit') IS NOT NULL"
        )
        if not cursor.fetchone()[0]:
            return
        cursor.execute(_TRIGGERS_AS_OWNER)
        cursor.execute(_NO_SWITCH)
        for name in ("frozen.sql", "privileges.sql", "trail_indexes.sql"):
            cursor.execute((SQL / name).read_text(encoding="utf-8"))
        cursor.execute("SELECT to_regclass('unblinded.accounts_studyrole') IS NOT NULL")
        if cursor.fetchone()[0]:  # made by the second alias, which migrates last
            cursor.execute((SQL / "one_side.sql").read_text(encoding="utf-8"))
        for schema in SIDE_OF:
            # Those of the unblinded side are made by the second alias, which migrates last.
            cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [f"{schema}.audit_review"])
            if cursor.fetchone()[0]:
                cursor.execute(seal_sql(schema))


def seal_sql(schema: str) -> str:
    """The functions that seal the history of one schema, and who may run them."""
    text = (SQL / "seal.sql").read_text(encoding="utf-8")
    names = ", ".join(f"'{name}'" for name in RECORDS)
    return text.replace("RECORDS", names).replace("SCHEMA", schema).replace("SIDE", SIDE_OF[schema])
