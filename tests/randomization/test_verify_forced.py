"""Verification knows which arms were named beforehand, and finds those that were not."""

import json
import runpy
from threading import Thread

from django.db import connection

from iwrs.problems import Problem
from randomization.unblinded.bundle import SCRIPT, bundle_of
from randomization.unblinded.models import ForcedAllocation, ListEntry
from randomization.unblinded.verification import faults_of
from tests import factories as make
from tests.concurrency.test_broken_off import waiting_backend
from tests.randomization.test_forced import ALLOWED, force
from tests.roles import as_unblinded
from trial.services import randomize


def test_verification_knows_what_was_named_and_finds_what_was_not(committed_db, logins):
    study = make.a_study(keys=ALLOWED)
    centre = make.a_centre(study)
    named, other = make.a_subject(centre), make.a_subject(centre)
    with as_unblinded():
        first = ListEntry.objects.get(stratum_key=named.stratum_key, position=1)
    arm = "PBO" if first.arm == "EVE" else "EVE"
    force(named, arm)
    for subject in (named, other):
        randomize(subject, by=make.TESTER)
    with as_unblinded():
        assert list(faults_of(study)) == []
        bundle = json.loads(json.dumps(bundle_of(study)))
    check = runpy.run_path(str(SCRIPT))["check"]
    assert list(check(bundle)) == []
    assert [each["forced"] for each in bundle["allocations"]] == [arm, None]
    bundle["allocations"][0]["forced"] = None
    assert any("the arm is not that of place 1" in fault for fault in check(bundle))
    logins.superuser().execute("UPDATE unblinded.forced_allocation SET forced_at = now()")
    with as_unblinded():
        [fault] = faults_of(study)
    assert fault == f"subject {named.number}: the arm was named after the subject was randomized"
    logins.owner().execute("DELETE FROM unblinded.forced_allocation")
    with as_unblinded():
        [fault] = faults_of(study)
    assert "the arm is not that of place 1" in fault


def test_no_arm_is_named_where_the_study_file_or_the_method_forbids_it(committed_db, logins):
    study = make.a_study(method="minimization")
    subject = make.a_randomized_subject(make.a_centre(study))
    logins.superuser().execute(
        "INSERT INTO unblinded.forced_allocation (subject_id, study_id, arm, reason, forced_by,"
        " forced_at, paper_number) VALUES (%s, %s, %s, 'x', 'x', '2001-01-01', '')",
        [subject.pk, study.pk, make.arm_of(subject)],
    )
    who = f"subject {subject.number}"
    with as_unblinded():
        faults = list(faults_of(study))
        bundle = json.loads(json.dumps(bundle_of(study)))
    assert faults == [
        f"{who}: an arm was named, and no definition of the study allows it",
        f"{who}: an arm was named, and list 1 decides by itself",
    ]
    check = runpy.run_path(str(SCRIPT))["check"]
    assert list(check(bundle)) == [f"{who}: no person can name this arm in list 1"]


def test_naming_an_arm_waits_for_a_randomization_under_way(committed_db, logins):
    """Else the arm would be named for a subject who has another already."""
    subject = make.a_subject(make.a_centre(make.a_study(keys=ALLOWED)))
    holder = logins.owner()
    said = []

    def name() -> None:
        try:
            force(subject)
        except Problem as problem:
            said.append(problem.code)
        finally:
            connection.close()

    with holder.transaction():
        holder.execute("SELECT 1 FROM unblinded.stratum_cursor FOR UPDATE")
        thread = Thread(target=name)
        thread.start()
        waiting_backend(logins.owner())
        holder.execute("UPDATE enrolment_subject SET status = 'randomized', randomized_at = now()")
    thread.join()
    assert said == ["not_waiting"]
    with as_unblinded():
        assert not ForcedAllocation.objects.exists()
