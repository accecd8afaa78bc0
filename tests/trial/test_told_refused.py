"""An accepted paper number: its kit, what is entered with it, and what is not accepted."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from dispensing.models import Kit
from dispensing.unblinded.models import PaperKit
from dispensing.unblinded.supply import run_supply
from dsmb.unblinded.told import accepted
from iwrs import clock
from iwrs.problems import Invalid, Problem
from randomization.unblinded.models import ForcedAllocation
from tests import factories as make
from tests.hostile.walk import undone
from tests.roles import as_unblinded
from tests.trial.test_paper import (
    BEFORE,
    NOW,
    OUTAGE,
    THEN,
    a_subject,
    calls_made,
    enter,
    paper,
    refused,
)
from tests.trial.told import (
    WHY,
    abandoned_call,
    accept,
    all_is_well,
    cursors,
    entered_as_told,
    the_list_ends,
    use_up_all_cover,
)
from trial.late import Late
from trial.services import randomize

__all__ = ["paper"]
pytestmark = [pytest.mark.django_db, pytest.mark.requirement("REQ-071")]


def test_another_number_of_an_accepted_subject_is_unknown(paper: SimpleNamespace) -> None:
    late, other = a_subject(paper.here), a_subject(paper.here)
    given = paper.desk.randomize(late)
    wanted = paper.desk.randomize(other)
    accept(late, wanted.paper_number, wanted.kit)
    refused(late, given.paper_number, "paper_unknown")
    entered_as_told(late, wanted)


def test_with_its_number_alone_is_an_accepted_subject_entered(paper: SimpleNamespace) -> None:
    """Else an arm could be chosen by accepting the number of a place that nobody was told."""
    late = a_subject(paper.here)
    given = paper.desk.randomize(late)
    abandoned_call(paper)
    accept(late, given.paper_number, given.kit)
    before = calls_made()
    for without in (lambda: randomize(late, by=make.TESTER), lambda: enter(late, "none")):
        with pytest.raises(Problem) as refusal, clock.at(NOW):
            without()
        assert (refusal.value.code, refusal.value.status) == ("paper_number_needed", 409)
    assert calls_made() == before, "it is no abandoned call"
    entered_as_told(late, given)
    all_is_well(paper)


def test_asked_again_and_again_the_gate_gives_the_same_kit_and_uses_up_no_line(
    paper: SimpleNamespace,
) -> None:
    late = a_subject(paper.here)
    given = paper.desk.randomize(late)
    abandoned_call(paper)
    accept(late, given.paper_number, given.kit)
    seen = []
    for _ in range(3):
        with undone():
            seen.append(enter(late, given.paper_number).kit.grouped)
    assert seen == [given.kit] * 3
    entered_as_told(late, given)


def test_a_kit_that_waits_for_its_subject_is_not_retired(paper: SimpleNamespace) -> None:
    late = a_subject(paper.here)
    given = paper.desk.randomize(late)
    accept(late, given.paper_number, given.kit)
    at_the_centre = Kit.objects.filter(centre=paper.here, status=Kit.Status.AT_CENTRE).count()
    use_up_all_cover(paper)
    with as_unblinded():
        outcome = run_supply(paper.study, NOW, by=make.TESTER)
        assert outcome.retired == at_the_centre - 1
        assert PaperKit.objects.get().kit.status == Kit.Status.AT_CENTRE
    entered_as_told(late, given)


def test_without_any_kit_it_is_refused_before_a_place_is_taken(paper: SimpleNamespace) -> None:
    late = a_subject(paper.here)
    given = paper.desk.randomize(late)
    accept(late, given.paper_number)
    use_up_all_cover(paper)
    before = cursors()
    with pytest.raises(Problem) as refusal:
        enter(late, given.paper_number)
    assert refusal.value.code == "no_kit"
    assert cursors() == before


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"number": "7K3M"}, "paper_number"),
        ({"number": "0000-0000"}, "paper_number"),
        ({"kit": "0000000"}, "kit"),
        ({"kit": "another"}, "kit"),
        ({"why": "  "}, "why"),
    ],
)
def test_what_no_pack_told_is_said_at_its_field(
    paper: SimpleNamespace, change: dict[str, str], field: str
) -> None:
    late = a_subject(paper.here)
    given = paper.desk.randomize(late)
    other = paper.desk.randomize(a_subject(paper.here))
    typed: dict[str, Any] = {"number": given.paper_number, "kit": given.kit, "why": WHY} | change
    if typed["kit"] == "another":
        typed["kit"] = other.kit
    with pytest.raises(Invalid) as invalid:
        accept(late, **typed)
    assert list(invalid.value.errors) == [field]
    with as_unblinded():
        assert not ForcedAllocation.objects.exists()
    entered_as_told(late, given)  # the refused act used up nothing


def test_a_number_of_another_centre_or_study_is_not_accepted(paper: SimpleNamespace) -> None:
    given = paper.desk.randomize(a_subject(paper.here))
    with clock.at(BEFORE):
        foreign = make.a_centre(make.a_study())
    for subject, half in ((a_subject(paper.there), "second"), (a_subject(foreign), "first")):
        with pytest.raises(Invalid) as invalid:
            accept(subject, given.paper_number)
        assert half in invalid.value.errors["paper_number"]


def test_it_is_accepted_once_and_only_for_one_who_waits(paper: SimpleNamespace) -> None:
    late, done = a_subject(paper.here), a_subject(paper.there)
    given = paper.desk.randomize(late)
    accept(late, given.paper_number, given.kit)
    with clock.at(NOW):
        randomize(done, by=make.TESTER)
    for subject in (late, done):
        with pytest.raises(Problem) as refusal:
            accept(subject, given.paper_number)
        assert refusal.value.code == "not_waiting"
    with as_unblinded():
        [each] = accepted(paper.study, most=9)
    assert (each.made.paper_number, each.made.subject_id) == (given.paper_number, late.pk)
    assert each.kit == given.kit.replace(" ", "")
    assert each.record.facts["kit"] == each.kit


def test_an_arm_that_the_list_in_use_has_not_is_not_accepted(paper: SimpleNamespace) -> None:
    late = a_subject(paper.here)
    given = paper.desk.randomize(late)
    the_list_ends(paper)
    with pytest.raises(Problem) as refusal:
        accept(late, given.paper_number)
    assert refusal.value.code == "no_list_in_use"


def test_a_pack_too_old_by_days_and_a_study_closed_meanwhile(paper: SimpleNamespace) -> None:
    """What has happened is let in, whatever limit there is now."""
    late = a_subject(paper.here)
    given = paper.desk.randomize(late)
    abandoned_call(paper)
    accept(late, given.paper_number, given.kit)
    type(paper.study).objects.filter(pk=paper.study.pk).update(status="closed")
    with clock.at(NOW + timedelta(days=20)):
        told = Late(THEN, OUTAGE, "", given.paper_number)
        answer = randomize(late, by=make.TESTER, late=told)
    assert answer.kit.grouped == given.kit
