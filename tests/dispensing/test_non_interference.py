"""The same blinded inputs under two lists leave the same blinded rows, kit numbers and all."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from django.db import connection

from assessments.services import record_event, record_visit
from dispensing.models import Dispensation, Kit
from dispensing.services import dispense, hand_over, request_supply, stop_drug
from dispensing.unblinded.models import KitContent
from dispensing.unblinded.services import stock_centre, work_supply_runs
from enrolment.models import Subject
from iwrs import clock, studies
from iwrs.models import Study
from iwrs.problems import Problem
from iwrs.signatures import Signature
from randomization.unblinded import services as lists
from tests.dispensing.coupling import (
    arms_under,
    couple,
    everything_public,
    kits_by_subject,
    start_again,
)
from tests.dispensing.depots import contents, fill_depot
from tests.factories import STATISTICIANS, TESTER, a_centre, a_study, a_subject, arm_of, at
from tests.roles import as_unblinded
from trial.services import randomize

FIRST = at(2010, 1, 4)
ONE, TWO = bytes([1]) * 32, bytes([2]) * 32
STRATA = [
    {"visceral": visceral, "sensitive": sensitive}
    for visceral in ("yes", "no")
    for sensitive in ("yes", "no")
]


def a_depot(seed: bytes) -> Study:
    """A study with the list of `seed` and, always, the same file of kits."""
    study = a_study(with_list=False, code="coupled", status="draft")
    Study.objects.filter(pk=study.pk).update(simulated=True)
    study.refresh_from_db()
    with as_unblinded():
        made = lists.generate_list(study, by=STATISTICIANS[0], seed=seed)
        for person in STATISTICIANS[1:]:
            signature = Signature(person.label, clock.now(), "I approve this list")
            made = lists.approve_list(made, by=person, signature=signature)
    fill_depot(study, kits=160, expiries=[date(2010, 9, 30), date(2011, 12, 31)])
    return studies.set_status(study, "open", by=TESTER)


def play(study: Study) -> None:
    """Half a year at three centres. What happens depends on the day and the subject's order."""
    centres = [a_centre(study, cover=0, number=f"{n}000") for n in (1, 2, 3)]
    with as_unblinded():
        stock_centre(centres[0], by=TESTER)
    subjects: list[Subject] = []
    for week in range(26):
        with clock.at(FIRST + timedelta(weeks=week)):
            request_supply(study, by=TESTER)
            with as_unblinded():
                work_supply_runs()
        with clock.at(FIRST + timedelta(weeks=week, days=2)):
            today = clock.today()
            if week < 16:
                centre = centres[(week * week) % 3]
                subjects.append(a_subject(centre, strata=STRATA[(week * 7) % 5 % 4]))
                randomize(subjects[-1], by=TESTER)
            if week == 9:
                record_event(subjects[2], "withdrawal", by=TESTER, on=today)
            if week == 12:
                stop_drug(subjects[4], "study_drug", by=TESTER, on=today, reason="adverse_event")
            for order, subject in enumerate(subjects):
                visit_if_due(subject, order, today)


def visit_if_due(subject: Subject, order: int, today: date) -> None:
    for visit in subject.visits.filter(status="planned", window_from__lte=today):
        planned = visit.dispensation
        if planned and planned.status == Dispensation.Status.PLANNED:
            dispense(planned, by=TESTER)
            hand_over(planned, by=TESTER, on=today)
        ill = order % 5 == 3 and visit.number == 2
        record_visit(visit, by=TESTER, on=today, local_response="PD" if ill else "SD")


@pytest.fixture(scope="module")
def first_play(django_db_blocker) -> dict[str, object]:
    """Everything public after the first play, and what the second play must be given."""
    with django_db_blocker.unblock():
        return a_play(ONE, lambda study: None)


def a_play(seed: bytes, prepare: Callable[[Study], object]) -> dict[str, object]:
    start_again()
    with clock.at(FIRST):
        study = a_depot(seed)
        prepare(study)
        play(study)
    return {
        "public": everything_public(),
        "kits": kits_by_subject(study),
        "arms": {each.number: arm_of(each) for each in study.subjects.all()},
        "arms of two": arms_under(study, TWO),
        "contents": contents(study),
    }


@pytest.mark.requirement("REQ-055")
def test_every_blinded_row_is_the_same_under_another_list(committed_db: None, first_play):
    wanted = {kit: first_play["arms of two"][subj] for kit, subj in first_play["kits"].items()}
    changed = []
    second = a_play(TWO, lambda study: changed.append(couple(study, wanted)))
    assert second["arms"] == first_play["arms of two"]
    different = [s for s, arm in second["arms"].items() if arm != first_play["arms"][s]]
    assert len(different) >= 4
    assert changed[0] >= len(different)
    assert second["public"].keys() == first_play["public"].keys()
    for table, rows in first_play["public"].items():
        assert second["public"][table] == rows, table


def test_the_play_had_all_that_could_tell(first_play):
    """The comparison would be empty if nobody got kits, changed lots or left anything over."""
    public = first_play["public"]
    assert len(public["dispensing_cohort"]) >= 5
    kits = [" ".join(map(str, row)) for row in public["dispensing_kit"]]
    for status in ("in_depot", "at_centre", "assigned", "retired"):
        assert any(status in row for row in kits), status
    assert len(first_play["kits"]) > 50
    assert len({row[-1] for row in public["dispensing_cohort"]}) == 2  # lots
    assert set(first_play["arms"].values()) == {"EVE", "PBO"}


def test_uncoupled_contents_would_show(committed_db: None, first_play):
    """The twin that fails: with the same contents the other list takes other kit numbers."""
    second = a_play(TWO, lambda study: None)
    assert second["public"]["dispensing_kit"] != first_play["public"]["dispensing_kit"]


def test_swapped_arms_change_nothing(committed_db: None, first_play):
    """Both arms change names in the list and in the depot: every decision stays."""
    swap = {"EVE": "PBO", "PBO": "EVE"}
    start_again()
    with clock.at(FIRST):
        study = a_depot(ONE)
        swap_everything(study)
        play(study)
    assert {each.number: swap[arm_of(each)] for each in study.subjects.all()} == first_play["arms"]
    assert everything_public() == first_play["public"]


def swap_everything(study: Study) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE iwrs_owner")
        for table in ("kit_content", "list_entry"):
            cursor.execute(
                f"UPDATE unblinded.{table} SET arm = CASE arm WHEN 'EVE' THEN 'PBO' ELSE 'EVE' END"
            )
        cursor.execute("SET ROLE iwrs_blinded")


@pytest.mark.requirement("REQ-054")
def test_a_depot_of_one_place_refuses_both_arms_alike(committed_db: None):
    """The next subject of either arm meets the same refusal when the cover is used up."""
    told = []
    for seed in (ONE, TWO):
        start_again()
        with clock.at(FIRST):
            study = a_depot(seed)
            centre = a_centre(study, cover=0, number="1000")
            with as_unblinded():
                stock_centre(centre, by=TESTER, size=1)
                assert KitContent.objects.filter(sent=True).count() == 2
            randomize(a_subject(centre), by=TESTER)
            with pytest.raises(Problem) as refused:
                randomize(a_subject(centre), by=TESTER)
            told.append((str(refused.value), sorted(Kit.objects.values_list("status"))))
    assert told[0] == told[1]
