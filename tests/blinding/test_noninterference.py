"""Non-interference: the same blinded acts under two lists leave the same blinded rows.

One tape of acts is played on two copies of a database. In the second, half of the subjects get the
other arm, and the contents of exactly the kits of their places are exchanged, so that the same
kit numbers serve (possible because each place has a kit of every arm). Then every public table,
history included, must be equal row by row: values, order on disk, and which rows one transaction
wrote.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from assessments.services import record_event, record_read, record_visit
from dispensing.services import dispense, hand_over, record_first_dose, stop_drug
from dispensing.unblinded.services import run_supply
from enrolment.models import Centre, Subject
from iwrs import clock
from iwrs.models import Study
from randomization.services import request_code_break
from tests import factories as make
from tests.blinding import coupled
from tests.blinding.twins import allocated, places_of, public_rows, sizes
from tests.dispensing.depots import fill_depot
from tests.roles import as_unblinded
from trial.services import randomize

START = make.at(2010, 1, 4)


@pytest.fixture
def study(committed_db) -> Study:
    with clock.at(START):
        study = make.a_study(length=60)
        fill_depot(study, kits=400, expiries=[date(2010, 12, 31), date(2011, 12, 31)])
        for number in ("1001", "1002", "2001"):
            make.a_centre(study, cover=0, number=number)
    return study


def play(study: Study) -> dict[str, Any]:
    """Three months of a small trial through the real services; what sites were answered."""
    study = Study.objects.get(pk=study.pk)
    answers: dict[str, Any] = {}
    centres = list(Centre.objects.filter(study=study))
    subjects: list[Subject] = []
    for week in range(12):
        moment = START + timedelta(weeks=week)
        with as_unblinded():
            run_supply(study, moment, by=make.TESTER)
        with clock.at(moment + timedelta(days=1)):
            if week < 8:
                subjects += [_enrol(study, centre, week, answers) for centre in centres]
            for subject in subjects:
                _visit(subject, moment + timedelta(days=1), answers)
    with clock.at(START + timedelta(weeks=12)):
        today = clock.today()
        stop_drug(subjects[0], "study_drug", by=make.TESTER, on=today, reason=_reason(study))
        record_event(subjects[1], "death", by=make.TESTER, on=today)
        record_read(
            subjects[2], "central", by=make.TESTER, assessed_on=today, response="PD", read_on=today
        )
        signature = make.Signature("Tester", clock.now(), "I ask for the code")
        request_code_break(
            subjects[3],
            by=make.TESTER,
            reason="emergency",
            explanation="A test",
            signature=signature,
        )
    with as_unblinded():
        run_supply(study, START + timedelta(weeks=13), by=make.TESTER)
    return answers


def _enrol(study: Study, centre: Centre, week: int, answers: dict[str, Any]) -> Subject:
    """Screen and randomize one subject; strata change from week to week."""
    factors = study.definition.factors
    strata = {
        factor.key: factor.levels[(week >> n) % len(factor.levels)].key
        for n, factor in enumerate(factors)
    }
    answer = randomize(make.a_subject(centre, strata=strata), by=make.TESTER)
    subject = answer.subject
    answers[f"{subject.number} randomized"] = (answer.randomization.number, answer.kit.number)
    first = subject.dispensations.get(number=0)
    hand_over(first, by=make.TESTER, on=clock.today())
    record_first_dose(subject, by=make.TESTER, on=clock.today())
    return subject


def _visit(subject: Subject, moment: datetime, answers: dict[str, Any]) -> None:
    """Hold the subject's next visit when its day has come, with a kit and a tumour read."""
    visit = subject.visits.filter(status__in=["planned", "due"]).order_by("number").first()
    if visit is None or visit.due_on > moment.date():
        return
    kit = dispense(visit.dispensation, by=make.TESTER)
    answers[f"{subject.number} visit {visit.number}"] = kit.number
    hand_over(visit.dispensation, by=make.TESTER, on=moment.date())
    record_visit(visit, by=make.TESTER, on=moment.date(), local_response="SD", ecog=1)


def _reason(study: Study) -> str:
    return study.definition.blinded_drug.stop_reasons[0].key


@pytest.fixture
def pair(study: Study) -> Iterator[tuple[str, str]]:
    with coupled.copies() as names:
        yield names


@pytest.mark.requirement("REQ-043")
def test_blinded_rows_are_the_same_under_two_lists(study, pair):
    first, second = pair
    entries, contents = coupled.arms(second)
    coupled.rewrite_arms(first, entries, contents)
    with coupled.django_on(first):
        answers = play(study)
    under_first = allocated(first)
    turned = set(sorted(under_first)[::2])
    places = places_of(first, turned)
    coupled.rewrite_arms(
        second,
        coupled.swapped(entries, {under_first[subject][0] for subject in turned}),
        coupled.swapped(contents, places),
    )
    with coupled.django_on(second):
        answers_again = play(study)
    under_second = allocated(second)

    assert len(under_first) == 24
    assert {s for s in under_first if under_first[s] != under_second[s]} == turned
    assert sum("visit" in name for name in answers) > 15
    assert coupled.differences(answers, answers_again) == {}
    assert coupled.differences(public_rows(first), public_rows(second)) == {}
    assert coupled.differences(sizes(first), sizes(second)) == {}


def test_the_comparison_sees_one_changed_byte(study, pair):
    first, second = pair
    rows = public_rows(first)
    assert coupled.differences(rows, public_rows(second)) == {}
    with coupled.login("blinded", second) as blinded:
        blinded.execute("UPDATE enrolment_centre SET name = name || ' ' WHERE number = '1001'")
    tables = {path.split("/")[1] for path in coupled.differences(rows, public_rows(second))}
    assert tables == {"public.enrolment_centre", "public.enrolment_centreevent"}
