"""The same races with one guard taken away: the failure is real, and the guard is what stops it.

Each guard is removed in a copy of the database. A gate waits a little between reading and writing,
in the copy with its guard as in the copy without.
"""

import pytest

from tests import factories as make
from tests.blinding import coupled, hostile
from tests.concurrency import racer
from tests.concurrency.methods import METHODS

pytestmark = pytest.mark.usefixtures("committed_db")
PAUSE = "PERFORM pg_sleep(0.05);\n"
SUBJECTS = 16

ONE_ENTRY_TWICE = "SELECT count(*) - count(DISTINCT entry_id) FROM unblinded.allocation"
ONE_SUBJECT_TWICE = "SELECT count(*) - count(DISTINCT subject_id) FROM unblinded.allocation"
ONE_KIT_TWICE = "SELECT count(*) - count(DISTINCT kit_id) FROM unblinded.kit_assignment"


def drop_unique(owner, table: str, *columns: str) -> None:
    """Drop the unique constraints and indexes that begin with one of these columns."""
    for column in columns:
        rows = owner.execute(
            "SELECT k.conname FROM pg_constraint k JOIN pg_attribute a"
            " ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]"
            " WHERE k.conrelid = %s::regclass AND k.contype = 'u' AND a.attname = %s",
            [table, column],
        ).fetchall()
        assert rows, column
        for (constraint,) in rows:
            owner.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{constraint}"')


def widen_allocate(owner) -> None:
    coupled.change_function(
        owner,
        "gate.allocate",
        (
            "    INSERT INTO unblinded.allocation",
            f"    {PAUSE}    INSERT INTO unblinded.allocation",
        ),
    )


def race(database: str, statements: list[str], question: str) -> int:
    """Let the processes run the statements; how many answers of `question` are too many."""
    racer.start(_url(database), "sql", racer.shared_out(statements)).answers()
    with coupled.login("owner", database) as owner:
        return owner.execute(question).fetchone()[0]


def _url(database: str) -> str:
    from tests import bootstrap

    return bootstrap.url("blinded").replace(f"/{bootstrap.DATABASE}?", f"/{database}?")


@pytest.mark.parametrize("method", METHODS)
def test_without_the_lock_two_subjects_share_a_place(method):
    centre = make.a_centre(make.a_study(method=method), cover=1)
    calls = [f"SELECT gate.allocate({make.a_subject(centre).pk})" for _ in range(SUBJECTS)]
    with coupled.copies() as (guarded, bare):
        with coupled.login("owner", guarded) as owner:
            widen_allocate(owner)
        with coupled.login("owner", bare) as owner:
            widen_allocate(owner)
            coupled.change_function(owner, "gate.allocate", ("FOR UPDATE OF c", ""))
            drop_unique(owner, "unblinded.allocation", "entry_id")
            owner.execute("ALTER TABLE unblinded.decision DROP CONSTRAINT decision_entry_id_key")
            owner.execute("DROP INDEX unblinded.one_margin_per_place")
        assert race(guarded, calls, ONE_ENTRY_TWICE) == 0
        assert race(bare, calls, ONE_ENTRY_TWICE) > 0


def test_without_the_unique_subject_one_subject_gets_two_places():
    centre = make.a_centre(make.a_study(), cover=1)
    call = f"SELECT gate.allocate({make.a_subject(centre).pk})"
    with coupled.copies() as (guarded, bare):
        with coupled.login("owner", bare) as owner:
            drop_unique(owner, "unblinded.allocation", "subject_id")
        assert race(guarded, [call] * 8, ONE_SUBJECT_TWICE) == 0
        assert race(bare, [call] * 8, ONE_SUBJECT_TWICE) > 0


def test_without_the_lock_two_subjects_share_a_kit(logins):
    """The counter of calls takes a place once even so; the twin counts what was served instead."""
    target = hostile.a_target(cohorts=2, waiting=8)
    eve = logins.blinded()
    calls = []
    for subject in target.waiting:
        with eve.transaction():
            hostile.allocate(eve, subject)
            planned = hostile.plan(eve, subject)
        calls.append(f"SELECT {_assign(planned)}")
    logins.close()
    with coupled.copies() as (guarded, bare):
        for database in (guarded, bare):
            with coupled.login("owner", database) as owner:
                coupled.change_function(
                    owner,
                    "unblinded.take_cover_kit",
                    (
                        "    UPDATE public.dispensing_cohort c SET served = v_position",
                        f"    {PAUSE}    UPDATE public.dispensing_cohort c SET served = v_position",
                    ),
                )
        with coupled.login("owner", bare) as owner:
            coupled.change_function(
                owner,
                "gate.assign_kit",
                ("c.centre_id = v_centre FOR UPDATE;", "c.centre_id = v_centre;"),
            )
            coupled.change_function(
                owner,
                "unblinded.take_cover_kit",
                (" LIMIT 1 FOR UPDATE OF c;", " LIMIT 1;"),
                ("unblinded.calls_made('cohort', c.id)", "c.served"),
            )
            drop_unique(owner, "unblinded.kit_assignment", "kit_id")
            drop_unique(owner, "public.dispensing_dispensation", "kit_id")
        assert race(guarded, calls, ONE_KIT_TWICE) == 0
        assert race(bare, calls, ONE_KIT_TWICE) > 0


def _assign(planned: int) -> str:
    return f"gate.assign_kit({planned}, now()::date, now()::date + 60, now())"
