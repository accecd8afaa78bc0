"""A paper number that was accepted can be checked: its arm is that of the told place."""

import json
from types import SimpleNamespace

from django.db import connection

from iwrs import clock
from randomization.unblinded.bundle import bundle_of, own_sha256
from randomization.unblinded.models import Allocation, ListEntry
from randomization.unblinded.verification import faults_of
from tests import factories as make
from tests.roles import Logins, as_unblinded
from tests.trial.test_paper import NOW, a_subject, enter, paper
from tests.trial.told import abandoned_call, accept, outside
from trial.invariants import UNBLINDED
from trial.services import randomize

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


def test_who_has_another_place_although_the_told_one_was_free_is_found(
    committed_db: None, logins: Logins, paper: SimpleNamespace
) -> None:
    """By both verifiers; and a place that the bundle alone calls told is none."""
    late, live = a_subject(paper.here), a_subject(paper.there)
    paper.desk.randomize(live)
    given = paper.desk.randomize(late)
    accept(late, given.paper_number, given.kit)
    with clock.at(NOW):
        randomize(live, by=make.TESTER)
    enter(late, given.paper_number)
    with as_unblinded():
        assert list(faults_of(paper.study)) == []
        bundle = bundle_of(paper.study)
    assert outside(bundle) == []
    first, second = bundle["allocations"]
    assert (first["position"], second["position"]) == (1, 2)
    assert second["told"] == [1, late.stratum_key, 2]
    again = json.loads(json.dumps(bundle))
    again["allocations"][1]["position"] = 3
    again["sha256"] = own_sha256(again)
    found = "has place 3 of {}, 2 was next"
    assert any(found.format(late.stratum_key) in each for each in outside(again))
    again = json.loads(json.dumps(bundle))
    again["accepted"] = []
    again["allocations"][0]["told"] = [1, late.stratum_key, 2]
    again["allocations"][0]["position"] = 2
    again["allocations"][1]["position"] = 1
    again["sha256"] = own_sha256(again)
    assert any("1 was next" in each for each in outside(again))
    with as_unblinded():
        entry = Allocation.objects.get(subject=late).entry
        other = ListEntry.objects.get(list=entry.list, stratum_key=entry.stratum_key, position=3)
    logins.superuser().execute(
        "UPDATE unblinded.allocation SET entry_id = %s WHERE subject_id = %s", [other.pk, late.pk]
    )
    with as_unblinded():
        faults = list(faults_of(paper.study))
    assert any(found.format(late.stratum_key) in each for each in faults)
