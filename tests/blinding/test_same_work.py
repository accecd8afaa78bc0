"""A gate does the same work whichever the arm: counters, buffers, locks and bytes written.

PostgreSQL shows these to every login and cannot be told not to (EXPLAIN), so they must be equal:
two copies of one database, every arm swapped in one, every call of the gates measured in both.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import psycopg
import pytest

from iwrs import clock
from tests import bootstrap
from tests import factories as make
from tests.blinding import coupled, hostile
from tests.paper import told_and_accepted
from tests.roles import as_unblinded

ChangeArms = Callable[[Mapping[int, str]], dict[int, str]]
Rewrite = Callable[[str, str], None]  # what differs between the first copy and the second

# What an insider can ask after each call. Statistics of the own transaction, and of the server.
OWN_COUNTERS = """
    SELECT schemaname || '.' || relname, seq_scan, seq_tup_read, idx_scan, idx_tup_fetch,
           n_tup_ins, n_tup_upd, n_tup_del, n_tup_hot_upd
      FROM pg_stat_xact_all_tables WHERE schemaname IN ('public', 'unblinded') ORDER BY 1
"""
LOCKS = """
    SELECT locktype, relation::regclass::text, page, tuple, mode, granted FROM pg_locks
     WHERE pid = pg_backend_pid() AND locktype <> 'virtualxid' AND locktype <> 'transactionid'
     ORDER BY 1, 2, 3, 4, 5
"""
SIZES = """
    SELECT relname, relpages, reltuples, pg_relation_size(oid), pg_sequence_last_value(
               CASE WHEN relkind = 'S' THEN oid END)
      FROM pg_class WHERE relnamespace IN ('public'::regnamespace, 'unblinded'::regnamespace)
       AND relkind IN ('r', 'i', 'S') ORDER BY 1
"""
SERVER_COUNTERS = """
    SELECT t.relname, t.seq_scan, t.seq_tup_read, t.idx_scan, t.idx_tup_fetch, t.n_tup_ins,
           t.n_tup_upd, t.n_tup_hot_upd, t.n_live_tup, t.n_dead_tup,
           b.heap_blks_read + b.heap_blks_hit, b.idx_blks_read + b.idx_blks_hit
      FROM pg_stat_all_tables t JOIN pg_statio_all_tables b USING (relid)
     WHERE t.schemaname IN ('public', 'unblinded') ORDER BY 1
"""
INDEX_COUNTERS = """
    SELECT indexrelname, idx_scan, idx_tup_read, idx_tup_fetch FROM pg_stat_all_indexes
     WHERE schemaname IN ('public', 'unblinded') ORDER BY 1
"""


def work(caller: psycopg.Connection, call: str, *parameters: Any) -> dict[str, Any]:
    """What EXPLAIN tells of one call of a gate."""
    row = caller.execute(
        "EXPLAIN (ANALYZE, BUFFERS, WAL, TIMING off, SUMMARY off, FORMAT json) SELECT " + call,
        parameters,
    ).fetchone()
    told = row[0] if isinstance(row[0], list) else json.loads(row[0])
    plan = told[0]["Plan"]
    # Whether a page was in memory is chance; how many pages were touched is not.
    counted = {
        "buffers": plan["Shared Hit Blocks"] + plan["Shared Read Blocks"],
        "local": plan["Local Hit Blocks"] + plan["Temp Read Blocks"],
        "wal records": plan["WAL Records"],
        "wal bytes": plan["WAL Bytes"],
        "planning": told[0].get("Planning", {}).get("Shared Hit Blocks"),
    }
    return counted | {
        "counters": caller.execute(OWN_COUNTERS).fetchall(),
        "locks": caller.execute(LOCKS).fetchall(),
    }


def everything_seen(
    database: str, target: hostile.Target, visit: int, settings: str = ""
) -> dict[str, Any]:
    """Play the same calls as the blinded login; what it can learn of the work they made."""
    with coupled.login("owner", database) as owner:
        accepted = "SELECT subject_id, paper_number FROM unblinded.forced_allocation"
        numbers = dict(owner.execute(accepted).fetchall())
    coupled.login("blinded", database).close()  # builds the new database's catalogue caches
    seen: dict[str, Any] = {}
    with coupled.login("blinded", database) as eve:
        eve.execute(settings)
        with eve.transaction():  # fills the session's caches
            hostile.take_kit(eve, target.waiting[0])
            hostile.request(eve, target.treated)
        before = [_counted(eve, query) for query in (SERVER_COUNTERS, INDEX_COUNTERS)]
        for number, subject in enumerate(target.waiting[1:]):
            with eve.transaction():
                paper = numbers.get(subject.pk, "0000-0000")
                seen[f"paper {number}"] = work(eve, ON_PAPER, subject.pk, *paper.split("-"))
                seen[f"allocate {number}"] = work(eve, ALLOCATE, subject.pk, paper)
                planned = hostile.plan(eve, subject)
                seen[f"first kit {number}"] = work(eve, ASSIGN_NOW, planned)
        with eve.transaction():
            seen["visit kit"] = work(eve, ASSIGN_LATER, visit)
        made = hostile.request(eve, target.treated)
        with eve.transaction():
            seen["reveal"] = work(eve, "gate.code_break_reveal(%s, now())", made)
        with eve.transaction():
            seen["opening"] = work(eve, OPENING, target.treated.pk)
        after = [_counted(eve, query) for query in (SERVER_COUNTERS, INDEX_COUNTERS)]
        seen["server"] = [_added(*pair) for pair in zip(before, after, strict=True)]
        seen["sizes"] = eve.execute(SIZES).fetchall()
        seen["statistics"] = eve.execute(
            "SELECT count(*) FROM pg_stats WHERE schemaname = 'unblinded'"
        ).fetchall()
    return seen


def _counted(caller: psycopg.Connection, query: str) -> dict[str, Any]:
    caller.execute("SELECT pg_stat_force_next_flush()")
    return {row[0]: list(row[1:]) for row in caller.execute(query).fetchall()}


def _added(before: dict[str, list[int]], after: dict[str, list[int]]) -> dict[str, list[int]]:
    return {
        name: [(new or 0) - (old or 0) for old, new in zip(before[name], after[name], strict=True)]
        for name in after
    }


ASSIGN_NOW = "gate.assign_kit(%s, now()::date, now()::date + 60, now())"
ALLOCATE = "gate.allocate(%s, %s)"
# Most codes are wrong; which comes next is looked up all the same.
ON_PAPER = "gate.next_on_paper(%s, %s, %s, now()::date + 60)"
OPENING = "gate.code_break_opening(%s, 'Eve', 'Eve', 'other', 'x', now())"
ASSIGN_LATER = "gate.assign_kit(%s, now()::date + 42, now()::date + 100, now())"


def arms_changed(change: ChangeArms) -> Rewrite:
    """The arm of every entry and kit of the second copy, changed."""

    def rewrite(as_it_is: str, changed: str) -> None:
        entries, contents = coupled.arms(as_it_is)
        coupled.rewrite_arms(as_it_is, entries, contents)
        coupled.rewrite_arms(changed, change(entries), change(contents))

    return rewrite


def draws_turned(as_it_is: str, changed: str) -> None:
    """Every draw of the second copy from the other end: other tracks are taken."""
    for database, draw in ((as_it_is, "draw"), (changed, "9007199254740991 - draw")):
        with coupled.login("owner", database) as owner:
            owner.execute(f"UPDATE unblinded.list_entry SET draw = {draw}")
            owner.execute("ANALYZE")


def tracks_swapped(as_it_is: str, changed: str) -> None:
    """The same tracks are taken, and in the second copy they are of the other arms."""
    with coupled.login("owner", as_it_is) as owner:
        given = dict(owner.execute("SELECT entry_id, arm FROM unblinded.allocation").fetchall())
    contents = coupled.arms(as_it_is)[1]
    coupled.rewrite_arms(as_it_is, given, contents)
    coupled.rewrite_arms(
        changed, coupled.swapped({-1: "EVE", -2: "PBO"} | given), coupled.swapped(contents)
    )
    for database, arms in ((as_it_is, ["EVE", "PBO"]), (changed, ["PBO", "EVE"])):
        with coupled.login("owner", database) as owner:
            owner.execute(
                "UPDATE unblinded.list SET design = jsonb_set(design, '{arms}', %s::jsonb)",
                [json.dumps([[arms[0], 2], [arms[1], 1]])],
            )


@pytest.fixture
def target(committed_db) -> hostile.Target:
    """One of those who wait was told the place after the next one on paper, which was accepted."""
    made = hostile.a_target(cohorts=3, waiting=8)
    told_and_accepted(made.waiting[4])
    return made


@pytest.mark.parametrize(
    "settings",
    [
        "",
        "SET enable_indexscan = off; SET enable_seqscan = on; SET random_page_cost = 1e6;"
        " SET plan_cache_mode = force_custom_plan; SET debug_parallel_query = on",
    ],
)
def test_the_work_is_the_same_whichever_the_arm(target, settings):
    assert differs_always(target, arms_changed(coupled.swapped), settings) == set()


@pytest.mark.parametrize("rewrite", [draws_turned, tracks_swapped], ids=lambda each: each.__name__)
def test_minimization_does_the_same_work_whichever_track_and_arm_it_takes(committed_db, rewrite):
    make_kit_keys_alike()
    target = hostile.a_target(cohorts=2, waiting=8, method="minimization")
    give_both_arms()
    assert differs_always(target, rewrite) == set()


def make_kit_keys_alike() -> None:
    """Let the keys of kits begin where all have the same number of bytes, unlike other keys.

    With other tracks, other kits are given. Their keys are public, and PostgreSQL logs only what a
    row has not in common with the row before: a key below 256 takes a byte less than one above.
    """
    with coupled.login("owner", bootstrap.DATABASE) as owner:
        owner.execute(
            "SELECT setval(pg_get_serial_sequence('dispensing_kit', 'id'),"
            " greatest(10000000, nextval(pg_get_serial_sequence('dispensing_kit', 'id'))))"
        )


def give_both_arms() -> None:
    """Two places whose draws take the last track and the first, whatever the margins are.

    Else one list in three thousand gives all nine subjects the larger arm, and there is nothing to
    compare. From the other end these two draws change places; all others stay random.
    """
    with coupled.login("owner", bootstrap.DATABASE) as owner:
        owner.execute(
            "UPDATE unblinded.list_entry SET draw = CASE position WHEN 5 THEN 9007199254740991"
            " ELSE 0 END WHERE position IN (5, 6)"
        )


def test_a_difference_in_the_work_would_be_seen(target):
    """The measure itself: a longer code of one arm is seen in the bytes written.

    Of the larger arm: seven places in a row have it in every list, but one list in three hundred
    has none of the smaller arm in them.
    """

    def longer(arms: Mapping[int, str]) -> dict[int, str]:
        return {key: arm.ljust(8, "X") if arm == "EVE" else arm for key, arm in arms.items()}

    seen = differs_always(target, arms_changed(longer), attempts=2)
    assert any(re.match(r"/allocate \d/wal bytes", name) for name in seen)


def differs_always(
    target: hostile.Target, rewrite: Rewrite, settings: str = "", attempts: int = 10
) -> set[str]:
    """What differs between the copies in every attempt.

    Checkpoints (a dropped database makes one, too) and other sessions of the server add a record
    or a page now and then. What an arm causes, it causes each time.
    """
    visit = _sent_visit_kit(target)
    always: set[str] | None = None
    for _ in range(attempts):
        found = set(_compare(target, rewrite, settings, visit))
        always = found if always is None else always & found
        if not always:
            break
    return always or set()


def _compare(target: hostile.Target, rewrite: Rewrite, settings: str, visit: int) -> dict[str, Any]:
    with coupled.copies() as (as_it_is, changed):
        rewrite(as_it_is, changed)
        first = everything_seen(as_it_is, target, visit, settings)
        second = everything_seen(changed, target, visit, settings)
        given = [_arms_given(database) for database in (as_it_is, changed)]
    # Every call was answered, both arms were given, and the copies did differ.
    assert len(first) == 3 * 7 + 6
    assert first["statistics"] == [(0,)]
    assert len(given[0]) == 1 + 8
    assert len(set(given[0])) == 2
    assert given[0] != given[1]
    return coupled.differences(first, second)


def _arms_given(database: str) -> list[str]:
    with coupled.login("owner", database) as owner:
        rows = owner.execute("SELECT arm FROM unblinded.allocation ORDER BY subject_id")
        return [arm for (arm,) in rows]


def _sent_visit_kit(target: hostile.Target) -> int:
    from dispensing.models import Lot
    from dispensing.unblinded.models import VisitKit

    dispensation = target.treated.dispensations.get(number=1)
    arm = make.arm_of(target.treated)
    with as_unblinded():
        kit = make.a_kit(target.centre, Lot.objects.get(study=target.study), arm)
        VisitKit.objects.create(dispensation=dispensation, kit=kit, sent_at=clock.now())
    return dispensation.pk
