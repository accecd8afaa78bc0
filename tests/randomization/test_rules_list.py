"""A list, its definition and its code breaks: who waits for whom, and what is refused."""

from contextlib import suppress
from threading import Thread

import pytest
from django.db import connection

from iwrs import clock, studies
from iwrs.models import OutboxMessage, Study
from iwrs.problems import Problem
from iwrs.signatures import Signature
from randomization.models import CodeBreakRequest
from randomization.services import request_code_break
from randomization.unblinded import services as lists
from randomization.unblinded.models import RandomizationList
from tests import factories as make
from tests.roles import as_unblinded


def ask(subject) -> CodeBreakRequest:
    return request_code_break(
        subject,
        by=make.TESTER,
        reason="emergency",
        explanation="Unconscious",
        signature=Signature(make.TESTER.label, clock.now(), "I ask to see this treatment"),
    )


@pytest.mark.django_db
def test_a_subject_without_treatment_has_no_code():
    subject = make.a_subject(make.a_centre(make.a_study()))
    with pytest.raises(Problem) as refused:
        ask(subject)
    assert refused.value.code == "not_randomized"


def test_the_alarm_of_the_budget_follows_real_time(committed_db, monkeypatch):
    """In a replay whose clock stands still, the next hour's alarm is told again."""
    with clock.at(make.at(2010, 3, 2)):
        subject = make.a_randomized_subject(make.a_centre(make.a_study()))
        for hour in (10, 11):
            monkeypatch.setattr("django.utils.timezone.now", lambda h=hour: make.at(2026, 5, 4, h))
            for _ in range(4):
                with suppress(Problem):  # of the budget
                    ask(subject)
    alarms = OutboxMessage.objects.filter(topic="code-break-budget")
    assert alarms.count() == 2


def generate(study: Study, said: list[object]) -> None:
    try:
        with as_unblinded():
            said.append(lists.generate_list(study, by=make.STATISTICIANS[0]).number)
    except Exception as wrong:
        said.append(wrong)
    finally:
        connection.close()


def test_two_people_generate_at_once(committed_db):
    study = make.a_study(with_list=False)
    said: list[object] = []
    threads = [Thread(target=generate, args=(study, said)) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(said, key=str) == [1, 2, 3, 4]
    with as_unblinded():
        assert RandomizationList.objects.count() == 4


def test_whether_a_list_exists_is_asked_while_no_list_can_be_approved(committed_db, logins):
    study = make.a_study(with_list=False)
    held: list[bool] = []

    def list_exists(asked: Study) -> bool:
        row = logins.unblinded().execute(
            "SELECT pg_try_advisory_xact_lock(%s::int, %s::int)", [studies._DESIGN, asked.pk]
        )
        held.append(not row.fetchone()[0])
        return True

    changed = make.small_definition(study.code, length=40)
    with pytest.raises(Problem) as refused:
        studies.load(changed, by=make.TESTER, list_exists=list_exists)
    assert refused.value.code == "definition_locked"
    assert held == [True]


def test_an_approval_waits_for_a_definition_that_is_being_loaded(committed_db, logins):
    study = make.a_study(with_list=False)
    with as_unblinded():
        made = lists.generate_list(study, by=make.STATISTICIANS[0])
    person = make.STATISTICIANS[1]
    loading = logins.blinded()
    with loading.transaction():
        loading.execute(
            "SELECT pg_advisory_xact_lock(%s::int, %s::int)", [studies._DESIGN, study.pk]
        )
        signature = Signature(person.label, clock.now(), "I approve this list")
        with as_unblinded(), pytest.raises(Problem) as refused:
            lists.approve_list(made, by=person, signature=signature)
    assert refused.value.code == "busy"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("start", "step"),
    [
        ("closed", "open"),
        ("closed", "draft"),
        ("open", "draft"),
        ("draft", "closed"),
        ("draft", "paused"),
        ("open", "asleep"),
    ],
)
def test_a_study_goes_forward_only(start: str, step: str):
    study = make.a_study(with_list=False, status="draft")
    Study.objects.filter(pk=study.pk).update(status=start)
    with pytest.raises(Problem) as refused:
        studies.set_status(study, step, by=make.TESTER)
    assert refused.value.code == "study_status"
    assert Study.objects.get(pk=study.pk).status == start


@pytest.mark.django_db
def test_a_study_is_opened_paused_opened_and_closed():
    study = make.a_study(with_list=False, status="draft")
    for status in ("open", "paused", "open", "open", "closed"):
        assert studies.set_status(study, status, by=make.TESTER).status == status
