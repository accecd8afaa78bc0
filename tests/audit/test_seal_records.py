"""Tables whose rows are their own record are sealed like the history."""

import pytest
from django.apps import apps

from iwrs.audit import RECORDS
from iwrs.audit_trail.findings import Kind
from iwrs.audit_trail.sealing import seal
from iwrs.audit_trail.verifying import verify
from tests import factories as make
from tests.roles import Logins, as_unblinded

pytestmark = [pytest.mark.usefixtures("committed_db"), pytest.mark.requirement("REQ-031")]
KEYS = """
    SELECT c.relname, array_agg(a.attname::text),
           bool_and(pg_get_serial_sequence(c.oid::regclass::text, a.attname) IS NOT NULL)
      FROM pg_class c
      JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
     WHERE c.relkind = 'r' AND c.relname = ANY (%s)
       AND c.relnamespace IN ('public'::regnamespace, 'unblinded'::regnamespace)
     GROUP BY c.oid, c.relname
"""
CHANGING = """
    SELECT c.oid::regclass::text, login, what
      FROM pg_class c,
           unnest(ARRAY['iwrs_blinded', 'iwrs_unblinded']) login,
           unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE']) what
     WHERE c.relkind = 'r' AND c.relname = ANY (%s)
       AND c.relnamespace IN ('public'::regnamespace, 'unblinded'::regnamespace)
       AND has_table_privilege(login, c.oid, what)
"""


def test_each_has_one_key_that_only_grows(logins: Logins) -> None:
    """The seal goes from key to key: one that is given later must be higher."""
    found = logins.owner().execute(KEYS, [list(RECORDS)]).fetchall()
    assert {name for name, _, _ in found} == set(RECORDS)
    assert [each for each in found if len(each[1]) != 1 or not each[2]] == []


def test_no_login_of_the_application_changes_one(logins: Logins) -> None:
    assert logins.owner().execute(CHANGING, [list(RECORDS)]).fetchall() == []


def test_every_record_is_a_table_of_a_model() -> None:
    known = {each._meta.db_table.split('"')[-1] for each in apps.get_models()}
    assert set(RECORDS) <= known


@pytest.mark.parametrize(
    ("change", "table"),
    [
        ("UPDATE unblinded.cover_kit SET arm = arm || 'x' WHERE id = (SELECT min(id) FROM"
         " unblinded.cover_kit)", "cover_kit"),
        ("DELETE FROM unblinded.list_origin", "list_origin"),
        ("UPDATE unblinded.kit_assignment_event SET kit_id = kit_id + 1", "kit_assignment_event"),
    ],
)  # fmt: skip
def test_which_kit_stands_for_what_is_not_changed_unseen(
    logins: Logins, settings, change: str, table: str
) -> None:
    make.a_randomized_subject(make.a_centre(make.a_study()))
    settings.SIDE = "unblinded"
    with as_unblinded():
        assert seal() > 0
        assert verify("unblinded").findings == []
    logins.superuser().execute(change)
    with as_unblinded():
        found = verify("unblinded").findings
    assert {each.table for each in found} == {table}
    assert found[0].kind in {Kind.CHANGED, Kind.REMOVED}
