"""A paper number that was accepted can be checked: its arm is that of the told place."""

from types import SimpleNamespace

from django.db import connection

from randomization.unblinded.bundle import bundle_of, own_sha256
from randomization.unblinded.verification import faults_of
from tests.roles import Logins, as_unblinded
from tests.trial.test_paper import a_subject, enter, paper
from tests.trial.test_told import abandoned_call, accept, outside
from trial.invariants import UNBLINDED

__all__ = ["paper"]


def test_the_outside_check_and_list_verify_compare_the_arm_with_the_told_place(
    committed_db: None, logins: Logins, paper: SimpleNamespace
) -> None:
    late = a_subject(paper.here)
    given = paper.desk.randomize(late)
    abandoned_call(paper)
    made = accept(late, given.paper_number, given.kit)
    enter(late, given.paper_number)
    with as_unblinded():
        bundle = bundle_of(paper.study)
    [row] = bundle["allocations"]
    assert row["told"] == [1, late.stratum_key, made.told_entry.position]  # type: ignore[union-attr]
    other = {"EVE": "PBO", "PBO": "EVE"}[made.arm]
    row["forced"] = row["arm"] = other
    bundle["sha256"] = own_sha256(bundle)
    who = f"subject {late.number}"
    assert outside(bundle) == [f"{who}: the arm is not that of the place that was told on paper"]
    logins.superuser().execute("UPDATE unblinded.forced_allocation SET arm = %s", [other])
    logins.superuser().execute("UPDATE unblinded.allocation SET arm = %s", [other])
    with as_unblinded(), connection.cursor() as cursor:
        faults = list(faults_of(paper.study))
        assert f"{who}: the arm is not that of the place which was told on paper" in faults
        told = next(each for each in UNBLINDED if each.sentence.startswith("An arm that was told"))
        cursor.execute(told.query)
        assert cursor.fetchall() == [(late.number,)]
