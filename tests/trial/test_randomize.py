"""Randomizing: slot, kit and schedule in one act, once."""

import pytest

from assessments.models import Visit
from dispensing.models import Kit
from enrolment.models import Subject
from iwrs import clock
from iwrs.problems import Problem
from tests import factories as make
from trial.services import randomize

pytestmark = pytest.mark.django_db


@pytest.fixture
def centre():
    with clock.at(make.at(2010, 3, 1)):
        return make.a_centre(make.a_study())


@pytest.mark.requirement("REQ-002")
def test_randomize_gives_place_kit_and_schedule(centre):
    with clock.at(make.at(2010, 3, 2)):
        subject = make.a_subject(centre)
        answer = randomize(subject, by=make.TESTER)
    subject.refresh_from_db()
    assert answer.first_time
    assert subject.status == Subject.Status.RANDOMIZED
    assert answer.kit.status == Kit.Status.ASSIGNED
    assert answer.kit.centre_id == centre.pk
    assert list(subject.visits.values_list("number", flat=True)) == [1, 2, 3, 4]
    assert subject.visits.get(number=1).due_on.isoformat() == "2010-04-13"
    assert subject.dispensations.count() == 5
    assert Visit.objects.filter(subject=subject, dispensation=None).count() == 0


@pytest.mark.requirement("REQ-004")
def test_the_kit_holds_the_arm_of_the_subject(centre):
    from dispensing.unblinded.models import KitContent
    from tests.roles import as_unblinded

    with clock.at(make.at(2010, 3, 2)):
        answers = [randomize(make.a_subject(centre), by=make.TESTER) for _ in range(6)]
    for answer in answers:
        with as_unblinded():
            content = KitContent.objects.get(kit=answer.kit).arm
        assert content == make.arm_of(answer.subject)


@pytest.mark.requirement("REQ-003")
def test_again_returns_the_first_answer(centre):
    with clock.at(make.at(2010, 3, 2)):
        subject = make.a_subject(centre)
        first = randomize(subject, by=make.TESTER)
        second = randomize(subject, by=make.TESTER)
    assert not second.first_time
    assert (second.randomization, second.kit) == (first.randomization, first.kit)


@pytest.mark.requirement("REQ-036")
def test_not_eligible_is_refused_with_the_question(centre):
    with clock.at(make.at(2010, 3, 2)):
        subject = make.a_subject(centre, eligible=False)
        with pytest.raises(Problem) as refused:
            randomize(subject, by=make.TESTER)
    assert refused.value.code == "not_eligible"
    [key] = refused.value.errors
    assert key.startswith("eligibility.")


@pytest.mark.requirement("REQ-006")
def test_without_stock_the_refusal_takes_no_place(centre):
    with clock.at(make.at(2010, 3, 2)):
        for _ in range(6):
            randomize(make.a_subject(centre), by=make.TESTER)
        subject = make.a_subject(centre)
        for _ in range(20):  # as often as a site may try: no alarm, no place lost
            with pytest.raises(Problem) as refused:
                randomize(subject, by=make.TESTER)
            assert refused.value.code == "no_kit"
        make.a_cohort(centre)
        assert randomize(subject, by=make.TESTER).first_time
