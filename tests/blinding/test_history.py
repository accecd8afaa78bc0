"""The audit trail cannot be written, switched off or emptied by an application login."""

import psycopg
import pytest
from psycopg import errors

from enrolment.models import Centre
from randomization.unblinded.services import generate_list
from tests import factories as make
from tests.blinding import catalogue
from tests.roles import Logins, as_unblinded


@pytest.mark.requirement("REQ-026")
@pytest.mark.parametrize("side", ["blinded", "unblinded"])
def test_no_login_writes_history(logins: Logins, side):
    login = getattr(logins, side)()
    tables = catalogue.history_tables(login)
    assert len(tables) > 15
    for schema in ("public", "unblinded"):
        held = catalogue.rights_on_tables(login, f"iwrs_{side}", schema)
        held |= catalogue.rights_on_columns(login, f"iwrs_{side}", schema)
        names = {table.split(".")[-1].strip('"') for table in tables}
        writes = {
            right
            for right in held
            if not right.startswith("SELECT") and right.split(" on ")[1].split(".")[0] in names
        }
        assert writes == set()


@pytest.mark.requirement("REQ-009", "REQ-026")
@pytest.mark.parametrize("side", ["blinded", "unblinded"])
def test_each_way_of_writing_history_is_refused(logins: Logins, side):
    login = getattr(logins, side)()
    for table in catalogue.history_tables(login):
        for statement in (
            f"INSERT INTO {table} SELECT * FROM {table}",
            f"UPDATE {table} SET pgh_label = 'x'",
            f"DELETE FROM {table}",
            f"TRUNCATE {table}",
            f"ALTER TABLE {table} DISABLE TRIGGER ALL",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                login.execute(statement)


@pytest.mark.requirement("REQ-027")
@pytest.mark.parametrize("side", ["blinded", "unblinded"])
def test_each_way_of_switching_history_off_is_refused(logins: Logins, side):
    """Triggers of tables that leave history, their functions, and the server's own switches."""
    login = getattr(logins, side)()
    triggers = login.execute(
        "SELECT quote_ident(tgname), tgrelid::regclass::text, tgfoid::regprocedure::text"
        " FROM pg_trigger WHERE tgname LIKE 'pgtrigger_%'"
    ).fetchall()
    assert len(triggers) > 60
    for trigger, table, function in triggers:
        for statement in (
            f"ALTER TABLE {table} DISABLE TRIGGER {trigger}",
            f"ALTER TABLE {table} DISABLE TRIGGER USER",
            f"ALTER TABLE {table} DISABLE TRIGGER ALL",
            f"DROP TRIGGER {trigger} ON {table}",
            f"ALTER TRIGGER {trigger} ON {table} RENAME TO off",
            f"TRUNCATE {table}",
            f"ALTER FUNCTION {function} SECURITY INVOKER",
            f"DROP FUNCTION {function} CASCADE",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                login.execute(statement)
    for statement in (
        "SET session_replication_role = replica",
        "SET LOCAL session_replication_role = local",
        "SELECT set_config('session_replication_role', 'replica', false)",
        f"ALTER ROLE iwrs_{side} SET session_replication_role = replica",
        "CREATE OR REPLACE FUNCTION public._pgtrigger_should_ignore(trigger_name name)"
        " RETURNS boolean LANGUAGE sql AS 'SELECT true'",
        "CREATE OR REPLACE FUNCTION public._pgh_attach_context() RETURNS uuid"
        " LANGUAGE sql AS 'SELECT NULL::uuid'",
        "ALTER TABLE pg_trigger ADD COLUMN x int",
        "UPDATE pg_trigger SET tgenabled = 'D'",
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            login.execute(statement)


@pytest.mark.requirement("REQ-027")
def test_the_switch_has_no_effect_on_the_unblinded_side(logins: Logins, committed_db):
    study = make.a_study(with_list=False)
    with as_unblinded():
        generate_list(study, by=make.STATISTICIANS[0])
    unblinded = logins.unblinded()
    counted = "SELECT count(*) FROM unblinded.list_event"
    [before] = unblinded.execute(counted).fetchone()
    for ignored in ("{all}", "{unblinded.list:all}"):
        with unblinded.transaction():
            unblinded.execute("SELECT set_config('pgtrigger.ignore', %s, true)", [ignored])
            unblinded.execute("UPDATE unblinded.list SET status = 'approved'")
            unblinded.execute("UPDATE unblinded.list SET status = 'generated'")
    assert unblinded.execute(counted).fetchone() == (before + 4,)


@pytest.mark.requirement("REQ-027")
def test_the_switch_of_the_trigger_library_has_no_effect(logins: Logins, committed_db):
    centre = make.a_centre(make.a_study(with_list=False), cover=0)
    blinded = logins.blinded()
    before = _history(blinded, centre)
    for ignored in ("{all}", "{enrolment_centre:update_update}", "{public.enrolment_centre:all}"):
        with blinded.transaction():
            blinded.execute("SELECT set_config('pgtrigger.ignore', %s, true)", [ignored])
            blinded.execute(
                "UPDATE enrolment_centre SET name = name || 'x' WHERE id = %s", [centre.pk]
            )
    assert _history(blinded, centre) == before + 3


def _history(blinded: psycopg.Connection, centre: Centre) -> int:
    [count] = catalogue.column(
        blinded, "SELECT count(*) FROM enrolment_centreevent WHERE id = %s", centre.pk
    )
    return count


FROZEN = [
    ("enrolment_subject", "id", "id + 1000000"),
    ("enrolment_subject", "centre_id", "centre_id + 1"),
    ("enrolment_subject", "study_id", "study_id + 1"),
    ("enrolment_subject", "unblinded_at", "now()"),
    ("enrolment_centre", "study_id", "study_id + 1"),
    ("dispensing_dispensation", "subject_id", "subject_id + 1"),
    ("dispensing_dispensation", "number", "number + 50"),
    ("dispensing_dispensation", "earliest_on", "earliest_on - 90"),
    ("dispensing_dispensation", "kit_id", "NULL"),
    ("iwrs_study", "id", "id + 1000000"),
]


@pytest.mark.requirement("REQ-023")
def test_what_says_which_row_this_is_never_changes(logins: Logins, committed_db):
    make.a_randomized_subject(make.a_centre(make.a_study()))
    blinded = logins.blinded()
    for table, column, value in FROZEN:
        with pytest.raises(errors.InsufficientPrivilege, match=f"column {column} of {table}"):
            blinded.execute(f"UPDATE {table} SET {column} = {value}")


def test_every_table_has_a_frozen_key(logins: Logins):
    without = catalogue.column(
        logins.blinded(),
        "SELECT conrelid::regclass::text FROM pg_constraint k WHERE contype = 'p'"
        " AND connamespace IN ('public'::regnamespace, 'unblinded'::regnamespace)"
        " AND NOT EXISTS (SELECT 1 FROM pg_trigger t"
        "                  WHERE t.tgrelid = k.conrelid AND t.tgname = 'frozen_key')",
    )
    assert without == []
