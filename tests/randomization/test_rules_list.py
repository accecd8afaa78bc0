"""A list, its definition and its code breaks: who waits for whom, and what is refused."""

import os
import sys
from contextlib import suppress
from subprocess import Popen
from threading import Barrier, Thread

import pytest
from django.db import connection

from iwrs import acts, clock, studies
from iwrs.actors import Actor
from iwrs.models import OutboxMessage, Study
from iwrs.problems import Problem
from iwrs.signatures import Signature
from randomization.models import CodeBreakRequest, ListCommitment
from randomization.services import request_code_break
from randomization.unblinded import services as lists
from randomization.unblinded.models import RandomizationList
from tests import factories as make
from tests.concurrency.test_broken_off import wait_until_gone, waiting_backend
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


def test_two_people_generate_at_once(committed_db, monkeypatch):
    monkeypatch.setattr(acts, "LOCK_TIMEOUT", "60s")  # the last one waits for three others
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


def approve(made: RandomizationList, person: Actor, said: list[object]) -> None:
    try:
        with as_unblinded():
            signature = Signature(person.label, clock.now(), "I approve this list")
            said.append(lists.approve_list(made, by=person, signature=signature).status)
    except Problem as wrong:
        said.append(wrong.code)
    finally:
        connection.close()


def at_once(made: RandomizationList, people: list[Actor]) -> list[object]:
    """What each of the people is answered who approve at the same moment."""
    said: list[object] = []
    threads = [Thread(target=approve, args=(made, person, said)) for person in people]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return sorted(said, key=str)


@pytest.mark.requirement("REQ-059")
def test_two_people_approve_at_once(committed_db, monkeypatch):
    """Both signatures count once; a third person, and one of the two again, come too late."""
    monkeypatch.setattr(acts, "LOCK_TIMEOUT", "60s")
    study = make.a_study(with_list=False)
    with as_unblinded():
        made = lists.generate_list(study, by=make.STATISTICIANS[0])
    first, second = make.STATISTICIANS[1:]
    assert at_once(made, [first, first]) == ["approved", "same_person"]
    assert at_once(made, [second, second, Actor("Third")]) == [
        "active",
        "list_not_open",
        "list_not_open",
    ]
    with as_unblinded():
        done = RandomizationList.objects.get()
    assert done.first_approved_by != done.second_approved_by
    assert ListCommitment.objects.get(study=study).merkle_root == done.merkle_root


def test_without_its_locks_one_list_is_approved_twice_at_once(committed_db, monkeypatch):
    """The twin: with both locks taken off, two approvals both believe to be the first."""
    study = make.a_study(with_list=False)
    with as_unblinded():
        made = lists.generate_list(study, by=make.STATISTICIANS[0])
    together = Barrier(2)
    keep = lists._require_approvable

    def checked(made: RandomizationList, by: Actor) -> None:
        keep(made, by)
        together.wait(timeout=20)

    monkeypatch.setattr(lists, "_require_approvable", checked)
    monkeypatch.setattr(lists, "lock_design", lambda study: None)
    monkeypatch.setattr(
        "django.db.models.query.QuerySet.select_for_update", lambda rows, **options: rows
    )
    assert at_once(made, list(make.STATISTICIANS[1:])) == ["approved", "approved"]
    with as_unblinded():
        assert RandomizationList.objects.get().second_approved_by == ""


def test_who_generated_a_list_does_not_approve_it(committed_db):
    study = make.a_study(with_list=False)
    with as_unblinded():
        made = lists.generate_list(study, by=make.STATISTICIANS[0])
    assert at_once(made, [make.STATISTICIANS[0]]) == ["same_person"]


def test_a_seed_serves_once(committed_db):
    study = make.a_study(with_list=False)
    Study.objects.filter(pk=study.pk).update(simulated=True)
    study.refresh_from_db()
    with as_unblinded():
        lists.generate_list(study, by=make.STATISTICIANS[0], seed=b"s" * 32)
        with pytest.raises(Problem) as refused:
            lists.generate_list(study, by=make.STATISTICIANS[0], seed=b"s" * 32)
        assert refused.value.code == "seed_used"
        assert RandomizationList.objects.count() == 1


GENERATE = """
import django
django.setup()
from iwrs.models import Study
from randomization.unblinded.services import generate_list
from tests.factories import STATISTICIANS
generate_list(Study.objects.get(), by=STATISTICIANS[0])
"""
ROWS = """
    SELECT (SELECT count(*) FROM unblinded.list), (SELECT count(*) FROM unblinded.list_entry),
           (SELECT count(*) FROM unblinded.stratum_cursor),
           (SELECT count(*) FROM unblinded.list_origin), (SELECT count(*) FROM unblinded.list_event)
"""


@pytest.mark.requirement("REQ-006")
@pytest.mark.parametrize("table", ["list_entry", "stratum_cursor"])
def test_a_process_killed_while_it_generates_leaves_no_half_list(committed_db, logins, table):
    make.a_study(with_list=False)
    owner, holder = logins.owner(), logins.owner()
    with holder.transaction():
        holder.execute(f"LOCK TABLE unblinded.{table} IN EXCLUSIVE MODE")
        environment = {
            **os.environ,
            "DATABASE_URL": logins.url("unblinded"),
            "IWRS_SIDE": "unblinded",
            "PYTHONPATH": str(make.ROOT),
        }
        worker = Popen([sys.executable, "-c", GENERATE], cwd=make.ROOT, env=environment)
        backend = waiting_backend(owner)
        worker.kill()
        worker.wait()
    wait_until_gone(owner, backend)
    assert owner.execute(ROWS).fetchone() == (0, 0, 0, 0, 0)
    study = Study.objects.get()
    generate(study, said := [])
    assert said == [1]


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
