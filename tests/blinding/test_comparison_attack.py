"""The attack that the places of cover are for: two subjects tried on one place, each undone.

With a gate that offers the same place again, kits tell exactly which subjects share an arm. With
the gate as it is, no place is offered twice, so there is nothing to compare.
"""

import psycopg
import pytest

from tests.blinding import coupled, hostile
from tests.blinding.hostile import Target, a_target

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
                ("unblinded.spoilt_places(p_calls.centre_id)", "0"),
            )
        with coupled.login("blinded", naive) as eve:
            told = kits_seen(eve, target)
        with coupled.login("blinded", guarded) as eve:
            silent = kits_seen(eve, target)
    groups = {kit: {arm for arm, k in zip(arms, told, strict=True) if k == kit} for kit in told}
    assert len(groups) == 2  # one kit for each arm: the list is read
    assert all(len(arms_of_kit) == 1 for arms_of_kit in groups.values())
    assert len(set(silent)) == len(silent)  # every kit once: nothing is told
