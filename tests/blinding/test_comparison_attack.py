"""The attack that the places of cover are for: two subjects tried on one place, each undone.

With a gate that offers the same place again, kits tell exactly which subjects share an arm. With
the gate as it is, no place is offered twice, so there is nothing to compare.
"""

from datetime import timedelta

import psycopg
import pytest

from iwrs import clock
from iwrs.problems import Problem
from tests import factories as make
from tests.blinding import coupled, hostile
from tests.blinding.hostile import Target, a_target
from trial.services import randomize

pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture
def target() -> Target:
    return a_target(cohorts=2, waiting=7)


def kits_seen(eve: psycopg.Connection, target: Target) -> list[int]:
    """Allocate all, then try each on the next place of cover; nothing is ever committed."""
    seen = []
    with eve.transaction(force_rollback=True):
        for subject in target.waiting:
            hostile.allocate(eve, subject)
        for planned in [hostile.plan(eve, subject) for subject in target.waiting]:
            with eve.transaction(force_rollback=True):
                seen.append(hostile.assign(eve, planned))
    return seen


def next_arms(database: str, count: int) -> list[str]:
    """The arms that the rolled-back allocations had."""
    with coupled.login("owner", database) as owner:
        rows = owner.execute(
            "SELECT e.arm FROM unblinded.list_entry e JOIN unblinded.stratum_cursor c"
            " ON c.list_id = e.list_id AND c.stratum_key = e.stratum_key"
            " WHERE c.used = 1 AND e.position > 1 ORDER BY e.position LIMIT %s",
            [count],
        )
        return [arm for (arm,) in rows]


def test_kits_tell_who_shares_an_arm_only_when_a_place_is_offered_again(target):
    with coupled.copies() as (guarded, naive):
        arms = next_arms(naive, len(target.waiting))
        assert len(set(arms)) == 2
        with coupled.login("owner", naive) as owner:
            coupled.change_function(
                owner,
                "unblinded.take_cover_kit",
                ("unblinded.calls_made('cohort', c.id)", "c.served"),
            )
        with coupled.login("blinded", naive) as eve:
            told = kits_seen(eve, target)
        with coupled.login("blinded", guarded) as eve:
            silent = kits_seen(eve, target)
    groups = {kit: {arm for arm, k in zip(arms, told, strict=True) if k == kit} for kit in told}
    assert len(groups) == 2  # one kit for each arm: the list is read
    assert all(len(arms_of_kit) == 1 for arms_of_kit in groups.values())
    assert len(set(silent)) == len(silent)  # every kit once: nothing is told


def _take(eve, subject, until) -> int:
    """A kit for a subject from cover that is good until this day."""
    today = clock.today()
    eve.execute("SELECT gate.allocate(%s)", [subject.pk])
    [(planned,)] = eve.execute(
        "INSERT INTO dispensing_dispensation (subject_id, number, due_on, earliest_on, status)"
        " VALUES (%s, 0, %s, %s, 'planned') RETURNING id",
        [subject.pk, today, today - timedelta(days=1)],
    ).fetchall()
    [(kit,)] = eve.execute(
        "SELECT gate.assign_kit(%s, %s, %s, now())", [planned, today, until]
    ).fetchall()
    return kit


def test_a_place_is_not_offered_again_by_steering_to_another_cohort(committed_db, logins):
    """Two cohorts of different expiry: the caller chooses one by the day until which it is used."""
    study = make.a_study()
    centre = make.a_centre(study, cover=0)
    today = clock.today()
    for days in (100, 900):
        make.a_cohort(centre, expires_on=today + timedelta(days=days))
    subjects = [make.a_subject(centre) for _ in range(4)]
    eve = logins.blinded()
    seen = []
    for subject in subjects:
        with eve.transaction(force_rollback=True):
            seen.append(_take(eve, subject, today + timedelta(days=200)))
        with eve.transaction():
            _take(eve, subject, today + timedelta(days=60))
    assert [place for _, place in hostile.positions(logins.owner(), seen)] == [1, 2, 3, 4]


def test_a_lost_last_place_stops_nobody_elsewhere(committed_db, logins):
    study = make.a_study()
    centre, other = make.a_centre(study), make.a_centre(study)
    for _ in range(5):
        randomize(make.a_subject(centre), by=make.TESTER)
    lost = make.a_subject(centre)
    eve = logins.blinded()
    with eve.transaction(force_rollback=True):
        _take(eve, lost, clock.today() + timedelta(days=60))
    for _ in range(10):
        with pytest.raises(Problem) as refused:
            randomize(lost, by=make.TESTER)
        assert refused.value.code == "no_kit"
    assert randomize(make.a_subject(other), by=make.TESTER).first_time
