"""Accounts and study-wide roles leave history on both sides, and never a password or its hash."""

import json
from types import SimpleNamespace

import pytest
from django.db import connection

from enrolment.people import Person, end_study_role, give_study_role
from iwrs.accounts.models import Role, StudyRole, User
from iwrs.accounts.services import end_account
from iwrs.actors import Actor
from tests.factories import a_study
from tests.roles import Logins, as_unblinded

WORDS = "correct horse battery staple"
BOSS = Actor("Boss <boss@example.org>", kind="person", key="7", role="study_manager")


def events(schema: str, table: str) -> list[tuple[str, dict[str, str], dict[str, str]]]:
    """(kind, row, who and why) of each history row, the oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT pgh_label, to_jsonb(t)::text, pgh_context::text FROM {schema}.{table} t"
            " ORDER BY pgh_id"
        )
        return [(k, json.loads(row), json.loads(told or "{}")) for k, row, told in cursor]


@pytest.mark.django_db
@pytest.mark.requirement("REQ-025")
@pytest.mark.parametrize("side", ["blinded", "unblinded"])
def test_an_account_and_its_roles_leave_history(side: str, settings: SimpleNamespace) -> None:
    study = a_study(with_list=False)
    settings.SIDE = side
    if side == "blinded":
        _a_life(study, Role.MONITOR, "public")
    else:
        with as_unblinded():
            _a_life(study, Role.SUPPLY_MANAGER, "unblinded")


def _a_life(study: object, role: Role, schema: str) -> None:
    held = give_study_role(study, Person("lin@example.org", "Lin", WORDS), role, by=BOSS)  # type: ignore[arg-type]
    end_study_role(held, by=BOSS, why="Left")
    end_account(held.user, by=BOSS, why="Left")
    (_, made, told), (_, ended, told_end) = events(schema, "accounts_studyroleevent")
    assert (made["role"], made["until"], ended["until"]) == (role, None, str(_last(held)))
    assert (told["act"], told["by"]) == ("give study role", BOSS.label)
    assert (told_end["act"], told_end["why"]) == ("end study role", "Left")
    (kind, account, _), (_, closed, who) = events(schema, "accounts_userevent")
    assert (kind, account["email"], account["is_active"]) == ("insert", "lin@example.org", True)
    assert (closed["is_active"], who["act"], who["why"]) == (False, "end account", "Left")


def _last(held: StudyRole) -> object:
    held.refresh_from_db()
    return held.until


@pytest.mark.django_db
@pytest.mark.requirement("REQ-014")
def test_no_password_hash_or_counter_gets_into_history(logins: Logins) -> None:
    user = User.objects.create_user("lin@example.org", name="Lin", password=WORDS)
    user.set_password("another battery of staples")
    user.failed_attempts = 3
    user.save()
    [(kind, row, _)] = events("public", "accounts_userevent")
    assert kind == "insert"
    assert {name for name in row if not name.startswith("pgh_")} == {
        *("id", "email", "name", "is_active", "created_at")
    }
    assert "argon2" not in str(row)


@pytest.mark.requirement("REQ-026", "REQ-042")
def test_each_side_reads_its_own_history_of_accounts_and_writes_neither(logins: Logins) -> None:
    for side, own, other in [
        ("blinded", "public", "unblinded"),
        ("unblinded", "unblinded", "public"),
    ]:
        login = getattr(logins, side)()
        for table in ("accounts_userevent", "accounts_studyroleevent"):
            rights = login.execute(
                "SELECT has_table_privilege(c.oid, 'SELECT'), has_any_column_privilege(c.oid,"
                " 'INSERT, UPDATE') OR has_table_privilege(c.oid, 'DELETE, TRUNCATE')"
                " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE c.relname = %s AND n.nspname = ANY(%s) ORDER BY n.nspname = %s DESC",
                [table, [own, other], own],
            ).fetchall()
            assert rights == [(True, False), (False, False)], f"{side} {table}"
