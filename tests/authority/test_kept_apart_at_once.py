"""Two duties that are kept apart, given to one person at the same moment."""

import threading

import pytest
from django.db import connection

from enrolment.people import Person, give_study_role
from iwrs.accounts.models import Role, StudyRole
from iwrs.problems import Problem
from tests.factories import TESTER, a_study, a_user
from tests.roles import Logins

pytestmark = pytest.mark.requirement("REQ-018")


@pytest.mark.usefixtures("committed_db")
def test_the_second_of_two_duties_waits_for_the_first_and_is_refused(logins: Logins) -> None:
    study = a_study(with_list=False)
    user = a_user(Role.MONITOR, study=study)
    refused: list[str] = []

    def give() -> None:
        try:
            give_study_role(study, Person(user.email, user.name), Role.STUDY_MANAGER, by=TESTER)
        except Problem as problem:
            refused.append(problem.code)
        finally:
            connection.close()

    first, watching = logins.blinded(), logins.owner()
    first.execute("BEGIN")
    first.execute("SELECT 1 FROM accounts_user WHERE id = %s FOR NO KEY UPDATE", [user.pk])
    first.execute(
        "INSERT INTO accounts_studyrole (user_id, study_code, role, since)"
        " VALUES (%s, %s, 'auditor', now())",
        [user.pk, study.code],
    )
    second = threading.Thread(target=give, daemon=True)
    second.start()
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    while second.is_alive() and watching.execute(waits).fetchone() == (0,):
        second.join(0.05)
    first.execute("COMMIT")
    second.join(20)
    assert refused == ["duties_kept_apart"]
    held = set(StudyRole.objects.filter(user=user).values_list("role", flat=True))
    assert held == {Role.MONITOR, Role.AUDITOR}
