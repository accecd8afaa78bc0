"""The first door: one code, of a committed and counted request, within the hourly budget."""

import itertools
import threading

import psycopg
import pytest
from psycopg import errors

from tests import factories as make
from tests.blinding import hostile
from tests.blinding.hostile import Target, a_target, refusal
from tests.roles import Logins

pytestmark = pytest.mark.usefixtures("committed_db")
BUDGET = 3


@pytest.fixture
def target() -> Target:
    return a_target(waiting=1)


@pytest.fixture
def eve(logins: Logins) -> psycopg.Connection:
    return logins.blinded()


@pytest.mark.requirement("REQ-048")
def test_it_tells_the_treatment_of_that_subject_once(eve, target):
    made = hostile.request(eve, target.treated)
    assert hostile.reveal(eve, made) == make.arm_of(target.treated)
    assert refusal(hostile.reveal, eve, made) == "IW005"


@pytest.mark.requirement("REQ-044")
def test_request_and_answer_in_one_transaction_are_refused(eve, target):
    with eve.transaction(force_rollback=True):
        made = hostile.request(eve, target.treated)
        with pytest.raises(psycopg.Error) as refused, eve.transaction():
            hostile.reveal(eve, made)
        assert refused.value.sqlstate == "IW005"
    with eve.transaction():
        with eve.transaction():  # a savepoint that is released is still the same transaction
            made = hostile.request(eve, target.treated)
        with pytest.raises(psycopg.Error) as refused, eve.transaction():
            hostile.reveal(eve, made)
        assert refused.value.sqlstate == "IW005"


@pytest.mark.requirement("REQ-044")
def test_a_request_that_is_not_committed_is_not_answered(eve, target, logins):
    accomplice = logins.blinded()
    with eve.transaction(force_rollback=True):
        made = hostile.request(eve, target.treated)
        assert refusal(hostile.reveal, accomplice, made) == "IW005"
    assert refusal(hostile.reveal, accomplice, made) == "IW005"


@pytest.mark.requirement("REQ-044")
def test_looking_and_rolling_back_leaves_the_request(eve, target, logins):
    """The request is the record, counted and committed before anybody can look."""
    made = hostile.request(eve, target.treated)
    with eve.transaction(force_rollback=True):
        hostile.reveal(eve, made)
    rows = logins.owner().execute("SELECT id FROM randomization_codebreakrequest").fetchall()
    assert rows == [(made,)]
    assert hostile.reveal(eve, made) == make.arm_of(target.treated)


@pytest.mark.requirement("REQ-048")
@pytest.mark.parametrize(("age", "code"), [("14 min 50 s", None), ("15 min 1 s", "IW006")])
def test_an_old_request_is_not_answered(eve, target, logins, age, code):
    made = hostile.request(eve, target.treated)
    logins.owner().execute(
        "UPDATE randomization_codebreakrequest SET requested_at = requested_at - %s::interval",
        [age],
    )
    assert refusal(hostile.reveal, eve, made) == code


@pytest.mark.requirement("REQ-047")
def test_a_record_of_a_refusal_stays_and_has_the_databases_time(eve, target):
    [recent] = eve.execute(
        "INSERT INTO randomization_codebreakrefusal (subject_id, study_id, refused_to, why,"
        " recorded_at) VALUES (%s, %s, 'Eve', 'code_break_budget', '2001-01-01')"
        " RETURNING recorded_at > now() - interval '1 minute'",
        [target.treated.pk, target.study.pk],
    ).fetchone()
    assert recent
    for statement in (
        "UPDATE randomization_codebreakrefusal SET why = ''",
        "DELETE FROM randomization_codebreakrefusal",
        "TRUNCATE randomization_codebreakrefusal",
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            eve.execute(statement)


@pytest.mark.requirement("REQ-046")
def test_the_budget_of_an_hour_is_kept(eve, target):
    answers = [refusal(hostile.request, eve, target.treated) for _ in range(BUDGET + 2)]
    assert answers == [None] * BUDGET + ["IW004"] * 2


@pytest.mark.requirement("REQ-046")
def test_the_budget_holds_under_eight_connections_at_once(target, logins):
    start = threading.Barrier(8)
    answers = []

    def ask(connection: psycopg.Connection) -> None:
        start.wait()
        answers.append(refusal(hostile.request, connection, target.treated))

    threads = [threading.Thread(target=ask, args=[logins.blinded()]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(answers, key=str) == ["IW004"] * (8 - BUDGET) + [None] * BUDGET


@pytest.mark.requirement("REQ-033")
def test_requests_cannot_be_written_or_dated_back(eve, target):
    hostile.request(eve, target.treated)
    for statement in (
        "INSERT INTO randomization_codebreakrequest (subject_id) VALUES (1)",
        "UPDATE randomization_codebreakrequest SET requested_at = requested_at - interval '2 h'",
        "UPDATE randomization_codebreakrequest SET revealed_at = NULL",
        "DELETE FROM randomization_codebreakrequest",
        "TRUNCATE randomization_codebreakrequest",
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            eve.execute(statement)


def test_the_budget_is_that_of_the_list_not_of_the_subjects_own_row(eve, target):
    other = make.a_study()  # with a budget of its own
    for _ in range(BUDGET):
        hostile.request(eve, target.treated)
    with pytest.raises(errors.InsufficientPrivilege):
        eve.execute(
            "UPDATE enrolment_subject SET study_id = %s WHERE id = %s",
            [other.pk, target.treated.pk],
        )
    assert refusal(hostile.request, eve, target.treated) == "IW004"


@pytest.mark.requirement("REQ-048")
def test_a_code_break_stays_on_the_subject(eve, target):
    hostile.reveal(eve, hostile.request(eve, target.treated))
    with pytest.raises(errors.InsufficientPrivilege):
        eve.execute("UPDATE enrolment_subject SET unblinded_at = NULL")
    target.treated.refresh_from_db()
    assert target.treated.unblinded_at is not None


@pytest.mark.requirement("REQ-052")
def test_a_request_names_who_and_why(eve, target):
    complete = ["Eve", "emergency", "because"]
    call = "SELECT gate.code_break_request(%s, %s, %s, %s)"
    for part, value in itertools.product(range(3), ["", "  ", None]):
        told = [*complete[:part], value, *complete[part + 1 :]]
        assert refusal(eve.execute, call, [target.treated.pk, *told]) == "IW001"


def test_a_subject_without_allocation_costs_no_budget(eve, target):
    for _ in range(BUDGET + 1):
        assert refusal(hostile.request, eve, target.waiting[0]) == "IW001"
    hostile.request(eve, target.treated)
