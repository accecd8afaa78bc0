"""A person never holds both sides of one study: PostgreSQL refuses, in a race too."""

import threading
from datetime import date
from types import SimpleNamespace

import psycopg
import pytest
from psycopg import errors

from enrolment.people import Person, add_to_centre, give_study_role
from iwrs.accounts.models import Role, User
from iwrs.problems import Problem
from tests.factories import TESTER, a_centre, a_study, a_user
from tests.roles import Logins, as_unblinded

pytestmark = pytest.mark.requirement("REQ-021")
BOTH = "Somebody with this e-mail address"
WORDS = "correct horse battery staple"


@pytest.fixture
def study(db: None, settings: SimpleNamespace) -> SimpleNamespace:
    made = a_study(with_list=False)
    return SimpleNamespace(study=made, centre=a_centre(made, cover=0), settings=settings)


def unblinded_role(made: SimpleNamespace, address: str) -> None:
    made.settings.SIDE = "unblinded"
    try:
        with as_unblinded():
            person = Person(address, "Una Blind", WORDS)
            give_study_role(made.study, person, Role.UNBLINDED_STATISTICIAN, by=TESTER)
    finally:
        made.settings.SIDE = "blinded"


def test_who_is_unblinded_gets_no_blinded_role_in_the_study(study: SimpleNamespace) -> None:
    unblinded_role(study, "una@example.org")
    person = Person(" UNA@Example.org", "Una Blind", WORDS)
    with pytest.raises(Problem, match=BOTH) as refused:
        give_study_role(study.study, person, Role.MONITOR, by=TESTER)
    assert (refused.value.code, refused.value.status) == ("both_sides", 409)
    with pytest.raises(Problem, match=BOTH):
        add_to_centre(study.centre, person, Role.INVESTIGATOR, by=TESTER)
    assert not User.objects.exists(), "the account is not made either"


def test_who_is_blinded_gets_no_unblinded_role_in_the_study(study: SimpleNamespace) -> None:
    add_to_centre(study.centre, Person("ivo@example.org", "Ivo", WORDS), "investigator", by=TESTER)
    give_study_role(study.study, Person("max@example.org", "Max", WORDS), "monitor", by=TESTER)
    for address in ("Ivo@example.org", "MAX@example.org"):
        with pytest.raises(Problem, match=BOTH):
            unblinded_role(study, address)


def test_a_role_that_has_ended_counts_too(study: SimpleNamespace) -> None:
    held = give_study_role(study.study, Person("o@example.org", "O", WORDS), "monitor", by=TESTER)
    held.until = date(2001, 1, 1)
    held.save()
    with pytest.raises(Problem, match=BOTH):
        unblinded_role(study, "o@example.org")


def test_another_study_or_another_person_is_free(study: SimpleNamespace) -> None:
    unblinded_role(study, "una@example.org")
    other = a_study(with_list=False)
    assert give_study_role(other, Person("una@example.org", "Una", WORDS), "monitor", by=TESTER)
    assert give_study_role(study.study, Person("u@example.org", "U", WORDS), "monitor", by=TESTER)


@pytest.mark.usefixtures("committed_db")
def test_a_false_row_is_refused_by_the_database_itself(logins: Logins) -> None:
    """With the real logins: a new role, a role moved to the study, and a changed address."""
    study, other = a_study(with_list=False), a_study(with_list=False)
    centre = a_centre(study, cover=0)
    here, there = a_user(Role.MONITOR, study=study), a_user(Role.MONITOR, study=other)
    blinded, unblinded = logins.blinded(), logins.unblinded()
    unblinded.execute("SET search_path = unblinded, public")
    for email in (there.email.upper(), "una@example.org"):
        unblinded.execute(
            "WITH u AS (INSERT INTO unblinded.accounts_user (email, name, password, is_active,"
            " failed_attempts, created_at) VALUES (%s, 'U', 'x', true, 0, now()) RETURNING id)"
            " INSERT INTO unblinded.accounts_studyrole (user_id, study_code, role, since)"
            " SELECT id, %s, 'supply_manager', now() FROM u",
            [email, study.code],
        )
    for statement, values in [
        ("INSERT INTO accounts_studyrole (user_id, study_code, role, since)"
         " VALUES (%s, %s, 'auditor', now())", [there.pk, study.code]),
        ("INSERT INTO enrolment_centrerole (user_id, centre_id, role, since)"
         " VALUES (%s, %s, 'monitor', now())", [there.pk, centre.pk]),
        ("UPDATE accounts_studyrole SET study_code = %s WHERE user_id = %s",
         [study.code, there.pk]),
        ("UPDATE accounts_studyrole SET user_id = %s WHERE user_id = %s", [there.pk, here.pk]),
        ("UPDATE accounts_user SET email = 'Una@Example.ORG' WHERE id = %s", [here.pk]),
    ]:  # fmt: skip
        with pytest.raises(psycopg.Error) as refused:
            blinded.execute(statement, values)
        assert (refused.value.sqlstate, refused.value.diag.message_primary) == ("IW010", "refused")
        assert not refused.value.diag.message_detail
        assert "una" not in (refused.value.diag.context or "").lower()
    with pytest.raises(psycopg.Error) as refused:
        unblinded.execute("UPDATE unblinded.accounts_user SET email = %s", [here.email])
    assert refused.value.sqlstate in {"IW010", "23505"}


@pytest.mark.usefixtures("committed_db")
def test_an_old_snapshot_is_refused(logins: Logins) -> None:
    user, study = a_user(Role.MONITOR), a_study(with_list=False)
    blinded = logins.blinded()
    for level in ("REPEATABLE READ", "SERIALIZABLE"):
        blinded.execute(f"BEGIN ISOLATION LEVEL {level}")
        with pytest.raises(psycopg.Error) as refused:
            _give(blinded, "public", user.pk, study.code)
        assert refused.value.sqlstate == "IW500"
        blinded.execute("ROLLBACK")


@pytest.mark.usefixtures("committed_db")
@pytest.mark.parametrize("guarded", [True, False])
def test_both_sides_at_the_same_moment(logins: Logins, guarded: bool) -> None:
    """The second waits for the first and is refused. Without the trigger both get in."""
    user, study = a_user(Role.MONITOR), a_study(with_list=False)
    blinded, unblinded, owner = logins.blinded(), logins.unblinded(), logins.owner()
    [[other]] = unblinded.execute(
        "INSERT INTO unblinded.accounts_user (email, name, password, is_active, failed_attempts,"
        " created_at) VALUES (%s, 'U', 'x', true, 0, now()) RETURNING id",
        [user.email],
    ).fetchall()
    switch = "ENABLE" if guarded else "DISABLE"
    tables = ("public.accounts_studyrole", "unblinded.accounts_studyrole")
    for table in tables:
        owner.execute(f"ALTER TABLE {table} {switch} TRIGGER one_side")
    try:
        blinded.execute("BEGIN")
        _give(blinded, "public", user.pk, study.code)
        errors_seen: list[str] = []
        second = threading.Thread(
            target=_try, args=(unblinded, other, study.code, errors_seen), daemon=True
        )
        second.start()
        second.join(1 if guarded else 20)
        assert second.is_alive() is guarded
        blinded.execute("COMMIT")
        second.join(20)
        assert not second.is_alive()
        assert errors_seen == (["IW010"] if guarded else [])
    finally:
        for table in tables:
            owner.execute(f"ALTER TABLE {table} ENABLE TRIGGER one_side")


def _give(login: psycopg.Connection, schema: str, user: int, code: str) -> None:
    login.execute(
        f"INSERT INTO {schema}.accounts_studyrole (user_id, study_code, role, since)"
        " VALUES (%s, %s, 'monitor', now())",
        [user, code],
    )


def _try(login: psycopg.Connection, user: int, code: str, seen: list[str]) -> None:
    try:
        _give(login, "unblinded", user, code)
    except psycopg.Error as error:
        seen.append(str(error.sqlstate))


@pytest.mark.parametrize("side", ["blinded", "unblinded"])
def test_no_login_runs_the_comparison_by_itself_or_switches_it_off(
    logins: Logins, side: str
) -> None:
    login = getattr(logins, side)()
    schema = "public" if side == "blinded" else "unblinded"
    for statement in (
        "SELECT unblinded.refuse_both_sides()",
        f"ALTER TABLE {schema}.accounts_studyrole DISABLE TRIGGER one_side",
        f"DROP TRIGGER one_side ON {schema}.accounts_studyrole",
        "DROP FUNCTION unblinded.refuse_both_sides()",
    ):
        with pytest.raises((errors.InsufficientPrivilege, errors.FeatureNotSupported)):
            login.execute(statement)
