"""The gates against a caller with the blinded login who writes SQL and rolls back."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import errors

from enrolment.models import Subject
from iwrs import clock
from iwrs.signatures import Signature
from tests import factories as make
from tests.blinding import coupled, hostile
from tests.blinding.hostile import ALLOWED, Target, a_target, refusal
from tests.roles import Logins, as_unblinded

pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture
def target() -> Target:
    return a_target()


@pytest.fixture
def eve(logins: Logins) -> psycopg.Connection:
    """The insider: the real blinded login, own SQL."""
    return logins.blinded()


def undone(caller: psycopg.Connection, act: Callable[[], Any]) -> str | None:
    """Do something in a transaction (or savepoint) that is rolled back; the refusal, if any."""

    def inside() -> None:
        with caller.transaction(force_rollback=True):
            act()

    return refusal(inside)


@pytest.mark.requirement("REQ-046")
def test_abandoned_allocations_stop_after_a_few(eve, target):
    codes = [
        undone(eve, lambda: hostile.allocate(eve, target.waiting[0])) for _ in range(ALLOWED + 3)
    ]
    assert codes == [None] * ALLOWED + ["IW009"] * 3


def test_no_place_of_cover_is_seen_twice(eve, target, logins):
    """Two subjects tried on one place would tell by the kit whether they have the same arm."""
    seen: list[int] = []
    turns = [target.waiting[turn % 2 :: 2] for turn in range(ALLOWED + 3)]
    codes = [
        undone(eve, lambda t=turn: seen.extend(hostile.take_kit(eve, each) for each in t))
        for turn in turns
    ]
    assert set(codes) == {None, "IW009"}
    places = hostile.positions(logins.owner(), seen)
    assert len(seen) >= ALLOWED
    assert len(set(places)) == len(places)
    assert undone(eve, lambda: hostile.take_kit(eve, target.waiting[0])) == "IW009"


def test_savepoints_show_no_place_twice(eve, target, logins):
    """One transaction, one subject after the other on the next place, each undone."""
    seen: list[int] = []
    with eve.transaction(force_rollback=True):
        for subject in target.waiting:
            hostile.allocate(eve, subject)
        planned = [hostile.plan(eve, subject) for subject in target.waiting]
        turns = [planned[turn % len(planned)] for turn in range(ALLOWED + 3)]
        codes = [undone(eve, lambda d=each: seen.append(hostile.assign(eve, d))) for each in turns]
    assert codes[-3:] == ["IW009"] * 3
    places = hostile.positions(logins.owner(), seen)
    assert 0 < len(seen) <= ALLOWED
    assert len(set(places)) == len(places)


def test_a_place_that_was_abandoned_serves_nobody(eve, target, logins):
    """The next randomization takes the next place, and the cohort still ends where it ends."""
    with eve.transaction(force_rollback=True):
        seen = hostile.take_kit(eve, target.waiting[0])
    served = []
    for subject in target.waiting:
        with eve.transaction():
            served.append(hostile.take_kit(eve, subject))
    places = hostile.positions(logins.owner(), [seen, *served])
    assert [position for _, position in places] == [2, 3, 4, 5, 6]
    row = eve.execute(
        "SELECT served FROM dispensing_cohort WHERE id = %s", [places[0][0]]
    ).fetchone()
    assert row == (6,)


def test_abandoned_places_reach_over_the_end_of_a_cohort(eve, target, logins):
    for _ in range(6):
        with eve.transaction(force_rollback=True):
            hostile.take_kit(eve, target.waiting[0])
    with eve.transaction():
        kit = hostile.take_kit(eve, target.waiting[0])
    [(cohort, position)] = hostile.positions(logins.owner(), [kit])
    served = eve.execute(
        "SELECT id, served FROM dispensing_cohort WHERE centre_id = %s ORDER BY id",
        [target.centre.pk],
    ).fetchall()
    assert [count for _, count in served] == [6, 2]
    assert (cohort, position) == (served[1][0], 2)


def test_a_supply_run_sees_abandoned_places(eve, target):
    for _ in range(3):
        with eve.transaction(force_rollback=True):
            hostile.take_kit(eve, target.waiting[0])
    with as_unblinded():
        from django.db import connection

        with connection.cursor() as cursor:
            for _ in range(2):
                cursor.execute("SELECT unblinded.settle_places(%s)", [target.study.pk])
    served = eve.execute(
        "SELECT sum(served) FROM dispensing_cohort WHERE centre_id = %s", [target.centre.pk]
    ).fetchone()
    assert served == (4,)


def test_an_alarm_is_released_by_the_unblinded_side_only(eve, target):
    from randomization.unblinded.models import StratumCursor
    from randomization.unblinded.services import release_calls

    for _ in range(ALLOWED):
        with eve.transaction(force_rollback=True):
            hostile.allocate(eve, target.waiting[0])
    assert refusal(hostile.allocate, eve, target.waiting[0]) == "IW009"
    with as_unblinded():
        stratum = StratumCursor.objects.get(used=1)
        release_calls(stratum, by=make.TESTER, why="A test attacked the gate.")
    hostile.allocate(eve, target.waiting[0])


def test_a_subject_gets_one_allocation_and_one_first_kit(eve, target):
    """Whatever the caller writes into the subject's and the dispensation's own rows."""
    for change in ("status = 'eligible', randomized_at = NULL", "stratum_key = 'another'"):
        with pytest.raises(errors.InsufficientPrivilege):
            eve.execute(f"UPDATE enrolment_subject SET {change} WHERE id = %s", [target.treated.pk])
    assert refusal(hostile.allocate, eve, target.treated) == "IW001"
    with pytest.raises(errors.UniqueViolation):
        hostile.plan(eve, target.treated)
    first = target.treated.dispensations.get(number=0)
    for change in ("number = 99", "kit_id = NULL, status = 'planned'", "subject_id = 1"):
        with pytest.raises(errors.InsufficientPrivilege):
            eve.execute(f"UPDATE dispensing_dispensation SET {change} WHERE id = %s", [first.pk])
    assert refusal(hostile.assign, eve, first.pk) == "IW003"


def test_two_kits_for_one_subject_in_one_act_are_refused(eve, target):
    visit = _sent_visit_kit(target, number=1)
    second = _sent_visit_kit(target, number=2)
    with eve.transaction():
        hostile.assign(eve, visit, days_ahead=42)
        with pytest.raises(psycopg.Error) as refused, eve.transaction():
            hostile.assign(eve, second, days_ahead=84)
        assert refused.value.sqlstate == "IW003"


@pytest.mark.requirement("REQ-004")
def test_a_kit_that_was_not_sent_or_is_not_due_is_refused(eve, target):
    early = _sent_visit_kit(target, number=1)
    assert refusal(hostile.assign, eve, early) == "IW003"
    for change in ("earliest_on = '2000-01-01'", "due_on = '2000-01-01'"):
        with pytest.raises(errors.InsufficientPrivilege):
            eve.execute(f"UPDATE dispensing_dispensation SET {change} WHERE id = %s", [early])
    own = hostile.plan(eve, target.treated, number=77)  # nobody sent a kit for it
    assert refusal(hostile.assign, eve, own) == "IW003"


def test_a_visit_kit_cannot_be_tried_on_another_subject(eve, target):
    """It would be refused, or not, by the arm."""
    visit = _sent_visit_kit(target, number=1)
    with pytest.raises(errors.InsufficientPrivilege):
        eve.execute(
            "UPDATE dispensing_dispensation SET subject_id = %s WHERE id = %s",
            [target.waiting[0].pk, visit],
        )


def test_asking_for_a_visit_kit_again_gives_the_same(eve, target):
    visit = _sent_visit_kit(target, number=1)
    seen = set()
    for _ in range(ALLOWED + 3):
        with eve.transaction(force_rollback=True):
            seen.add(hostile.assign(eve, visit, days_ahead=42))
    assert len(seen) == 1


def test_a_kit_of_another_centre_is_not_reached(eve, target):
    with pytest.raises(errors.InsufficientPrivilege):
        eve.execute(
            "UPDATE enrolment_subject SET centre_id = %s WHERE id = %s",
            [target.other_centre.pk, target.waiting[0].pk],
        )
    with eve.transaction():
        kit = hostile.take_kit(eve, target.waiting[0])
    row = eve.execute("SELECT centre_id FROM dispensing_kit WHERE id = %s", [kit]).fetchone()
    assert row == (target.centre.pk,)


def test_a_subject_forged_into_a_centre_of_another_study_is_refused(eve, target):
    foreign = make.a_centre(make.a_study(), cover=1)
    row = eve.execute(
        "INSERT INTO enrolment_subject (study_id, centre_id, number, status, consent_on,"
        " screened_at, failure_reason, strata, stratum_key, baseline, recorded_at,"
        " rescreening)"
        " SELECT study_id, %s, '9999-001', status, consent_on, screened_at, '', strata,"
        " stratum_key, baseline, now(), 0 FROM enrolment_subject WHERE id = %s RETURNING id",
        [foreign.pk, target.waiting[0].pk],
    ).fetchone()
    with pytest.raises(psycopg.Error) as refused:
        eve.execute("SELECT gate.allocate(%s)", row)
    assert refused.value.sqlstate == "IW001"


def test_without_an_allocation_there_is_no_kit_and_no_attempt(eve, target, logins):
    planned = hostile.plan(eve, target.waiting[0])
    before = _calls(logins, target)
    assert refusal(hostile.assign, eve, planned) == "IW003"
    assert _calls(logins, target) == before


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_an_old_snapshot_is_refused_by_every_gate_that_changes_something(eve, target, level):
    """SERIALIZABLE would also show in pg_locks which row of which table a gate read."""
    visit = _sent_visit_kit(target, number=1)
    made = hostile.request(eve, target.treated)
    eve.execute(f"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL {level}")
    assert refusal(hostile.allocate, eve, target.waiting[0]) == "IW500"
    assert refusal(hostile.assign, eve, visit, days_ahead=42) == "IW500"
    assert refusal(hostile.on_paper, eve, target.waiting[0], "0000", "0000") == "IW500"
    assert refusal(hostile.request, eve, target.treated) == "IW500"
    assert refusal(hostile.reveal, eve, made) == "IW500"


def test_asking_for_a_place_on_paper_tells_its_order_and_writes_nothing(eve, target, logins):
    """Both codes are right for one place only, whoever asks for whichever subject. Nobody learns
    of one code whether it is right, or that it is one at all: both must be known.
    """
    place, cover = _codes_of_next(logins, target)
    later, line = _codes_of_next(logins, target, position=3)
    one, other = target.waiting[:2]
    before = _calls(logins, target)
    for subject in (one, other):
        assert hostile.on_paper(eve, subject, place, cover) == ""
        assert hostile.on_paper(eve, subject, place, line) == "centre"
        assert hostile.on_paper(eve, subject, later, cover) == "stratum"
        assert hostile.on_paper(eve, subject, later, line) == "stratum"
        for wrong in (_code_of_nothing(logins), None, ""):
            assert hostile.on_paper(eve, subject, place, wrong) == "unknown"
            assert hostile.on_paper(eve, subject, wrong, cover) == "unknown"
            assert hostile.on_paper(eve, subject, wrong, wrong) == "unknown"
    assert refusal(hostile.on_paper, eve, target.treated, place, cover) == "IW001"
    foreign = make.a_subject(make.a_centre(make.a_study(with_list=False)))
    assert refusal(hostile.on_paper, eve, foreign, place, cover) == "IW002"
    assert _calls(logins, target) == before
    with eve.transaction():
        hostile.take_kit(eve, one)
    assert hostile.on_paper(eve, other, place, cover) == "stratum"


def test_a_kit_that_was_told_serves_its_subject_alone_and_tells_nothing_new(eve, target, logins):
    """Whoever abandoned a call on the told line saw one kit of it; nobody but the subject who was
    told the other (or the same) is ever shown a kit of that line again, and always the same one.
    """
    place, cover = _codes_of_next(logins, target)
    with eve.transaction(force_rollback=True):
        seen = hostile.take_kit(eve, target.waiting[0])
    who = target.waiting[1]
    with as_unblinded():
        told = _accept(who, f"{place}-{cover}")
    wrong = _code_of_nothing(logins)
    assert [hostile.on_paper(eve, who, *pair) for pair in ((place, cover), (wrong, cover))] == [
        "",
        "unknown",
    ]
    shown = []
    for _ in range(3):
        with eve.transaction(force_rollback=True):
            shown.append(hostile.take_kit(eve, who, f"{place}-{cover}"))
    assert shown == [told] * 3
    assert undone(eve, lambda: hostile.take_kit(eve, who)) == "IW011"
    with eve.transaction():
        others = {hostile.take_kit(eve, each) for each in target.waiting[2:]}
    assert len(others) == len(target.waiting[2:])
    assert not others & {seen, told}
    assert hostile.take_kit(eve, who, f"{place}-{cover}") == told


def _accept(who: Subject, number: str) -> int:
    """Accept the number with the kit that it told; the kit's key."""
    from dispensing.unblinded.models import CoverKit
    from dsmb.unblinded.models import PaperCover, PaperPlace
    from dsmb.unblinded.told import accept_paper

    place, cover = number.split("-")
    arm = PaperPlace.objects.get(code=place, entry__stratum_key=who.stratum_key).entry.arm
    line = PaperCover.objects.get(code=cover, cohort__centre=who.centre)
    kit = CoverKit.objects.get(cohort=line.cohort, position=line.position, arm=arm).kit
    signature = Signature("Statistician", clock.now(), "I accept it")
    by = make.STATISTICIANS[0]
    accept_paper(who, number, kit.number, by=by, why="It was told", signature=signature)
    return kit.pk


def test_two_entries_never_take_one_place_on_paper(target, logins):
    """The second waits for the first; without the locks it is told that the place is free."""
    codes = _codes_of_next(logins, target)
    logins.close()  # a database is copied when nobody is in it
    with coupled.copies() as (locked, loose):
        with coupled.login("owner", loose) as owner:
            coupled.change_function(
                owner, "gate.next_on_paper", ("FOR UPDATE OF c;", ";"), ("FOR UPDATE;", ";")
            )
        told = [_asked_while_taken(database, target, codes) for database in (locked, loose)]
    assert told == ["55P03", ""]


def _asked_while_taken(database: str, target: Target, codes: tuple[str, str]) -> str:
    """What somebody is told of a place that another open transaction has just taken."""
    one, other = target.waiting[:2]
    with coupled.login("blinded", database) as first, coupled.login("blinded", database) as second:
        second.execute("SET lock_timeout = '200ms'")
        with first.transaction(force_rollback=True):
            assert hostile.on_paper(first, one, *codes) == ""
            hostile.allocate(first, one)
            answers: list[str] = []
            code = refusal(lambda: answers.append(hostile.on_paper(second, other, *codes)))
    return code if code else answers[0]


def _codes_of_next(logins: Logins, target: Target, *, position: int = 2) -> tuple[str, str]:
    """Codes for the next place of the stratum and of the centre's cover, as a pack draws them, or
    for a later one.
    """
    from dsmb.unblinded.models import EmergencyHolder
    from dsmb.unblinded.paper import make_paper

    with as_unblinded():
        if not EmergencyHolder.objects.filter(study=target.study).exists():
            make.a_holder(target.study)
        assert make_paper(target.study, by=make.TESTER)
    owner = logins.owner()
    [place] = owner.execute(
        "SELECT p.code FROM unblinded.paper_place p"
        " JOIN unblinded.list_entry e ON e.id = p.entry_id"
        " WHERE e.stratum_key = %s AND e.position = %s",
        [target.treated.stratum_key, position],
    ).fetchone()
    [cover] = owner.execute(
        "SELECT p.code FROM unblinded.paper_cover p JOIN dispensing_cohort c ON c.id = p.cohort_id"
        " WHERE c.centre_id = %s AND p.position = %s ORDER BY c.id LIMIT 1",
        [target.centre.pk, position],
    ).fetchone()
    return place, cover


def _code_of_nothing(logins: Logins) -> str:
    """A code of the right form that no place and no line has. Codes are random."""
    owner = logins.owner()
    used = {
        code
        for (code,) in owner.execute(
            "SELECT code FROM unblinded.paper_place UNION SELECT code FROM unblinded.paper_cover"
        )
    }
    return next(code for code in (f"{n:04d}" for n in range(10_000)) if code not in used)


def _sent_visit_kit(target: Target, *, number: int) -> int:
    """Send a kit of the right arm for a visit, as a supply run would; the dispensation's key."""
    from dispensing.models import Lot
    from dispensing.unblinded.models import VisitKit

    dispensation = target.treated.dispensations.get(number=number)
    arm = make.arm_of(target.treated)
    with as_unblinded():
        lot = Lot.objects.get(study=target.study)
        kit = make.a_kit(target.centre, lot, arm)
        VisitKit.objects.create(dispensation=dispensation, kit=kit, sent_at=clock.now())
    return dispensation.pk


def _calls(logins: Logins, target: Target) -> int:
    row = logins.owner().execute(
        f"SELECT last_value FROM unblinded.calls_centre_{target.centre.pk}"
    )
    return row.fetchone()[0]
