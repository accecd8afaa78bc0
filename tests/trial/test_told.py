"""A paper number that stays refused, accepted by the unblinded side: the place and the list."""

from types import SimpleNamespace

import pytest
from django.db import connection

from dispensing.unblinded.calls import watch_calls
from dsmb.analysis.rerandomization import run_arms
from dsmb.unblinded.paper_places import PLACES, next_places
from dsmb.unblinded.procedures import procedures
from enrolment.services import record_screen_failure
from iwrs import clock
from iwrs.problems import Problem
from randomization.unblinded.extension import low_strata
from randomization.unblinded.forced import not_of_own_place, require_none_waits
from randomization.unblinded.models import (
    Allocation,
    ForcedAllocation,
    RandomizationList,
    StratumCursor,
)
from tests import factories as make
from tests.code_break.desk import a_desk
from tests.dsmb.rows import as_owner
from tests.roles import as_unblinded
from tests.trial.test_paper import (
    BEFORE,
    NO,
    NOW,
    a_subject,
    enter,
    label_of,
    paper,
    refused,
)
from tests.trial.told import (
    abandoned_call,
    accept,
    all_is_well,
    cursors,
    entered_as_told,
    places,
    the_list_ends,
)
from trial.services import randomize

__all__ = ["paper"]
pytestmark = [pytest.mark.django_db, pytest.mark.requirement("REQ-071")]


def test_the_line_that_an_abandoned_call_used_up_serves_the_subject_who_was_told_it(
    paper: SimpleNamespace,
) -> None:
    late = a_subject(paper.here)
    given = paper.desk.randomize(late)
    abandoned_call(paper)
    refused(late, given.paper_number)
    accept(late, given.paper_number, given.kit)
    entered_as_told(late, given)
    all_is_well(paper)


def test_a_place_that_was_used_in_the_system_tells_its_arm_and_another_place_is_used_up(
    paper: SimpleNamespace,
) -> None:
    late, live = a_subject(paper.here), a_subject(paper.there)
    given = paper.desk.randomize(late)
    with clock.at(NOW):
        randomize(live, by=make.TESTER)
    refused(late, given.paper_number)
    accept(late, given.paper_number, given.kit)
    entered_as_told(late, given)
    assert make.arm_of(late) == make.arm_of(live)
    with as_unblinded():
        assert Allocation.objects.get(subject=late).entry.position == 2
    assert max(cursors()) == 2
    with as_unblinded():
        assert [each.subject_id for each in not_of_own_place(paper.study)] == [late.pk]
    all_is_well(paper)


def test_each_has_the_told_place_and_nobody_else_comes_to_it(paper: SimpleNamespace) -> None:
    """Who came to a told place would have the arm of the subject who was told it, for certain."""
    subjects = [a_subject(paper.here) for _ in range(4)]
    told = [paper.desk.randomize(each) for each in subjects]
    accept(subjects[3], told[3].paper_number, told[3].kit)
    accept(subjects[1], told[1].paper_number, told[1].kit)
    entered_as_told(subjects[3], told[3])
    live = [a_subject(paper.there) for _ in range(4)]
    for turn, each in enumerate(live):
        with clock.at(NOW):
            randomize(each, by=make.TESTER)
        if turn == 0:
            entered_as_told(subjects[1], told[1])
        # Whatever is asked with the told number, it is never the next one.
        assert "the stratum" in refused(a_subject(paper.here), told[3].paper_number).title
    assert places([*live, subjects[1], subjects[3]]) == [1, 3, 5, 6, 2, 4]
    with as_unblinded():
        cursor = StratumCursor.objects.get(stratum_key=live[0].stratum_key)
        assert (cursor.used, cursor.apart, cursor.subjects) == (6, 0, 6)
        assert not ForcedAllocation.objects.filter(pk__in=not_of_own_place(paper.study)).exists()
    all_is_well(paper)


def test_a_later_pack_does_not_offer_a_told_place_again(paper: SimpleNamespace) -> None:
    subjects = [a_subject(paper.here) for _ in range(3)]
    told = [paper.desk.randomize(each) for each in subjects]
    accept(subjects[2], told[2].paper_number, told[2].kit)
    with as_unblinded():
        active = RandomizationList.objects.get(study=paper.study)
        offered = [each.code for each in next_places(active)[subjects[0].stratum_key]]
    codes = [each.paper_number.partition("-")[0] for each in told]
    assert offered[:2] == codes[:2]
    assert codes[2] not in offered
    assert len(offered) == PLACES


def test_entered_out_of_turn_it_is_no_abandoned_call(paper: SimpleNamespace) -> None:
    """Eight of those would pause the stratum."""
    subjects = [a_subject(paper.here) for _ in range(8)]
    told = [paper.desk.randomize(each) for each in subjects]
    for subject, given in list(zip(subjects, told, strict=True))[1:]:
        accept(subject, given.paper_number, given.kit)
        entered_as_told(subject, given)
    with as_unblinded():
        assert watch_calls(paper.study) == []
    with clock.at(NOW):
        for each in [a_subject(paper.there) for _ in range(2)]:
            randomize(each, by=make.TESTER)
            all_is_well(paper)
    with as_unblinded():
        assert watch_calls(paper.study) == []


def test_no_list_that_decides_by_itself_follows_while_an_accepted_subject_waits(
    paper: SimpleNamespace,
) -> None:
    late = a_subject(paper.here)
    given = paper.desk.randomize(late)
    accept(late, given.paper_number, given.kit)
    with as_unblinded():
        active = RandomizationList.objects.get(study=paper.study)
        require_none_waits(active)
        following = RandomizationList(study=paper.study, design=active.design, dynamic=True)
        with pytest.raises(Problem) as refusal:
            require_none_waits(following)
    assert refusal.value.code == "forced_arm_waits"
    assert late.number in refusal.value.title


def test_a_place_that_nobody_came_for_is_drawn_again_for_nobody(paper: SimpleNamespace) -> None:
    """Else the places after it would move up, into other blocks, in the re-randomization test."""
    never, late = a_subject(paper.here), a_subject(paper.here)
    for each in (never, late):
        given = paper.desk.randomize(each)
        accept(each, given.paper_number, given.kit)
    record_screen_failure(never, by=make.TESTER, reason="Too ill")
    entered_as_told(late, given)
    live = a_subject(paper.there)
    with clock.at(NOW):
        randomize(live, by=make.TESTER)
    with as_unblinded():
        [procedure] = procedures(paper.study, "PBO")
    assert [procedure.subjects[1], procedure.subjects[2]] == [late.number, live.number]
    assert "nobody" in procedure.subjects[0]
    assert set(procedure.levels) == {(late.stratum_key,)}
    assert procedure.named == {}
    again = run_arms([procedure], [late.number, live.number], ["EVE", "PBO"], repeats=50, seed=1)
    assert again.given.shape == (2, 50)
    all_is_well(paper)


def test_the_last_places_of_a_list(paper: SimpleNamespace) -> None:
    """One who has the last place as told is let in when the others of the list are used up."""
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("UPDATE unblinded.stratum_cursor SET used = length - 1")
    with clock.at(BEFORE):
        desk = a_desk(paper.study, paper.identity)
    late = a_subject(paper.here)
    given = desk.randomize(late)
    accept(late, given.paper_number, given.kit)
    with pytest.raises(Problem) as refusal, clock.at(NOW):
        randomize(a_subject(paper.there), by=make.TESTER)
    assert refusal.value.code == "no_place"
    entered_as_told(late, given)
    with as_unblinded():
        low = low_strata(RandomizationList.objects.get(study=paper.study))
    assert {each.stratum_key: each.left for each in low}[late.stratum_key] == 0
    assert [each.left for each in low] == [0] + [1] * (len(low) - 1)


def test_told_in_another_stratum_the_arm_is_kept_and_the_place_is_nobodys(
    paper: SimpleNamespace,
) -> None:
    wrong = a_subject(paper.here, strata=NO)
    given = paper.desk.randomize(wrong)
    late = a_subject(paper.here)  # the answers told on the telephone were those of another stratum
    refused(late, given.paper_number, "paper_unknown")
    accept(late, given.paper_number, given.kit)
    entered_as_told(late, given)
    assert places([late]) == [1]
    with clock.at(NOW):
        randomize(wrong, by=make.TESTER)
    assert places([wrong]) == [2]
    with as_unblinded():
        assert [each.subject_id for each in not_of_own_place(paper.study)] == [late.pk]
    all_is_well(paper)


def test_one_number_told_to_two_gives_both_its_arm(paper: SimpleNamespace) -> None:
    first, second = a_subject(paper.here), a_subject(paper.here)
    given = paper.desk.randomize(first)
    accept(first, given.paper_number, given.kit)
    accept(second, given.paper_number)
    entered_as_told(first, given)
    enter(second, given.paper_number)
    assert make.arm_of(first) == make.arm_of(second)
    assert places([first, second]) == [1, 2]
    all_is_well(paper)


def test_those_after_one_who_never_comes_are_let_in_one_by_one(paper: SimpleNamespace) -> None:
    subjects = [a_subject(paper.here) for _ in range(4)]
    told = [paper.desk.randomize(each) for each in subjects]
    for subject, given in list(zip(subjects, told, strict=True))[1:]:
        refused(subject, given.paper_number)
        accept(subject, given.paper_number, given.kit)
        entered_as_told(subject, given)
    assert places(subjects[1:]) == [2, 3, 4]
    # The next one in the system gets a line after those that were told.
    with clock.at(NOW):
        answer = randomize(a_subject(paper.here), by=make.TESTER)
    after = paper.desk.next_line(paper.here)
    assert after["line"] == "5"
    assert answer.kit.grouped in after.values()
    all_is_well(paper)


def test_a_line_that_served_somebody_else_is_not_given_again(paper: SimpleNamespace) -> None:
    """The line is served whichever arm each of the two has: no answer tells whether they differ."""
    late, live = a_subject(paper.here), a_subject(paper.here, strata=NO)
    given = paper.desk.randomize(late)
    with clock.at(NOW):
        served = randomize(live, by=make.TESTER)
    with pytest.raises(Problem) as refusal:
        accept(late, given.paper_number, given.kit)
    assert refusal.value.code == "line_served"
    with as_unblinded():
        assert not ForcedAllocation.objects.exists()
    accept(late, given.paper_number)
    answer = enter(late, given.paper_number)
    assert label_of(late) == given.treatment
    assert answer.kit.grouped not in (given.kit, served.kit.grouped)
    all_is_well(paper)


def test_of_a_list_that_was_replaced_the_place_is_known(paper: SimpleNamespace) -> None:
    late = a_subject(paper.here)
    given = paper.desk.randomize(late)
    the_list_ends(paper)
    make.an_active_list(paper.study)
    refused(late, given.paper_number, "paper_unknown")
    accept(late, given.paper_number, given.kit)
    entered_as_told(late, given)
    all_is_well(paper)
