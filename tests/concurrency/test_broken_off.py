"""An act that waits too long, or whose process is killed, leaves nothing half-written."""

import os
import signal
import time
from typing import Any

import psycopg
import pytest

from iwrs import acts
from iwrs.problems import Problem
from tests import factories as make
from tests.concurrency import racer
from tests.roles import Logins
from trial.services import randomize

pytestmark = pytest.mark.usefixtures("committed_db")

# What one randomization writes.
WRITTEN = """
    SELECT (SELECT count(*) FROM unblinded.allocation), (SELECT sum(used) FROM unblinded.stratum_cursor),
           (SELECT count(*) FROM unblinded.kit_assignment), (SELECT sum(completed) FROM unblinded.centre_calls),
           (SELECT sum(served) FROM dispensing_cohort), (SELECT count(*) FROM randomization_randomization),
           (SELECT count(*) FROM dispensing_dispensation), (SELECT count(*) FROM assessments_visit),
           (SELECT count(*) FROM dispensing_kit WHERE status = 'assigned'),
           (SELECT count(*) FROM enrolment_subjectevent), (SELECT count(*) FROM dispensing_kitevent),
           (SELECT count(*) FROM iwrs_outboxmessage),
           (SELECT count(*) FROM enrolment_subject WHERE status = 'randomized')
"""  # noqa: E501
LOCKED = {
    "centre": "SELECT 1 FROM enrolment_centre FOR UPDATE",
    "subject": "SELECT 1 FROM enrolment_subject FOR UPDATE",
    "stratum": "SELECT 1 FROM unblinded.stratum_cursor FOR UPDATE",
    "kit calls": "SELECT 1 FROM unblinded.centre_calls FOR UPDATE",
    "cohort": "SELECT 1 FROM dispensing_cohort FOR UPDATE",
}


@pytest.fixture
def subject():
    return make.a_subject(make.a_centre(make.a_study(), cover=2))


def written(owner: psycopg.Connection) -> tuple[Any, ...]:
    row = owner.execute(WRITTEN).fetchone()
    assert row is not None
    return row


@pytest.mark.parametrize("row", LOCKED)
def test_a_lock_that_is_not_free_in_time_is_a_busy_answer(
    subject, logins: Logins, monkeypatch, row
):
    monkeypatch.setattr(acts, "LOCK_TIMEOUT", "200ms")
    owner, holder = logins.owner(), logins.owner()
    before = written(owner)
    with holder.transaction():
        holder.execute(LOCKED[row])
        with pytest.raises(Problem) as refused:
            randomize(subject, by=make.TESTER)
    assert (refused.value.code, refused.value.status) == ("busy", 503)
    assert written(owner) == before
    assert randomize(subject, by=make.TESTER).first_time


@pytest.mark.requirement("REQ-006")
@pytest.mark.parametrize("row", ["stratum", "kit calls", "cohort"])
def test_a_process_killed_in_the_middle_leaves_nothing(subject, logins: Logins, row):
    owner, holder = logins.owner(), logins.owner()
    before = written(owner)
    with holder.transaction():
        holder.execute(LOCKED[row])
        race = racer.start(logins.url("blinded"), "randomize", [[subject.pk]])
        backend = waiting_backend(owner)
        os.killpg(race.process.pid, signal.SIGKILL)
        race.process.communicate()
    wait_until_gone(owner, backend)
    assert written(owner) == before
    answer = randomize(subject, by=make.TESTER)
    assert answer.first_time
    assert answer.kit is not None


def waiting_backend(owner: psycopg.Connection) -> int:
    """The server process that waits for the lock. A new process may take long to come to it."""
    for _ in range(1200):
        row = owner.execute(
            "SELECT l.pid FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
            " WHERE NOT l.granted AND a.datname = current_database()"
        ).fetchone()
        if row:
            return int(row[0])
        time.sleep(0.05)
    raise AssertionError("the process never came to the lock")


def wait_until_gone(owner: psycopg.Connection, backend: int) -> None:
    for _ in range(1200):
        row = owner.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [backend]).fetchone()
        if row is None:
            return
        time.sleep(0.05)
    raise AssertionError("the killed process's session did not end")


def test_an_act_that_waits_for_the_centre_does_not_hold_the_subject(subject, logins: Logins):
    """The order of `iwrs/locks.py`, though both rows are locked in one statement."""
    holder, onlooker = logins.owner(), logins.owner()
    with holder.transaction():
        holder.execute(LOCKED["centre"])
        race = racer.start(logins.url("blinded"), "randomize", [[subject.pk]])
        waiting_backend(onlooker)
        onlooker.execute("SELECT 1 FROM enrolment_subject FOR UPDATE NOWAIT")
    [answer] = race.answers()
    assert answer["first_time"]
