"""What a centre and a deviation may become, and what nobody may change afterwards."""

from datetime import date

import pytest
from django.db import ProgrammingError

from enrolment import services as enrolment
from enrolment.models import Centre, Deviation, Subject
from iwrs import clock
from iwrs.actors import Actor
from iwrs.problems import Problem
from iwrs.signatures import Signature
from tests import factories as make

pytestmark = pytest.mark.django_db
APPROVERS = [Actor(f"Manager {n} <m{n}@example.org>") for n in range(2)]


@pytest.fixture
def centre() -> Centre:
    return make.a_centre(make.a_study())


def activate(centre: Centre) -> Centre:
    return enrolment.activate_centre(centre, by=make.TESTER, ethics_approved_on=date(2010, 1, 1))


def suspend(centre: Centre) -> Centre:
    return enrolment.suspend_centre(centre, by=make.TESTER, why="Audit")


def test_a_suspended_centre_goes_on(centre: Centre):
    assert suspend(centre).status == "suspended"
    assert activate(centre).status == "active"


@pytest.mark.parametrize(
    ("status", "change"),
    [
        ("closed", activate),
        ("active", activate),
        ("closed", suspend),
        ("planned", suspend),
        ("suspended", suspend),
    ],
)
def test_other_steps_are_refused(centre: Centre, status: str, change):
    Centre.objects.filter(pk=centre.pk).update(status=status)
    with pytest.raises(Problem) as refused:
        change(centre)
    assert refused.value.code == "centre_status"
    assert Centre.objects.get(pk=centre.pk).status == status


@pytest.fixture
def deviation(centre: Centre) -> Deviation:
    subject = make.a_subject(centre)
    criteria = centre.study.definition.eligibility
    question = next(each.key for each in criteria if each.deviation_allowed)
    return enrolment.request_deviation(subject, question, by=make.TESTER, reason="No result")


def approve(deviation: Deviation, by: Actor) -> Subject:
    signature = Signature(by.label, clock.now(), "I approve this deviation")
    return enrolment.approve_deviation(deviation, by=by, signature=signature)


def test_a_deviation_is_approved_once(deviation: Deviation):
    approve(deviation, APPROVERS[0])
    with pytest.raises(Problem) as refused:
        approve(deviation, APPROVERS[1])
    assert refused.value.code == "deviation_approved"
    assert Deviation.objects.get().approved_by == APPROVERS[0].label


@pytest.mark.requirement("REQ-041")
@pytest.mark.parametrize(
    "change",
    [{"approved_by": "Somebody else"}, {"approved_by": "", "approved_at": None}],
)
def test_the_database_keeps_an_approval(deviation: Deviation, change: dict[str, object]):
    approve(deviation, APPROVERS[0])
    with pytest.raises(ProgrammingError, match="never changed"):
        Deviation.objects.update(**change)


@pytest.mark.requirement("REQ-060")
@pytest.mark.parametrize(
    "change",
    [
        {"strata": {"visceral": "no", "sensitive": "no"}},
        {"stratum_key": "visceral=no|sensitive=no"},
        {"randomized_at": make.at(2010, 1, 1)},
        {"randomized_at": None, "status": "eligible"},
    ],
)
def test_the_database_keeps_what_a_subject_was_allocated_by(centre: Centre, change):
    subject = make.a_randomized_subject(centre)
    with pytest.raises(ProgrammingError, match="never changed"):
        Subject.objects.filter(pk=subject.pk).update(**change)


def test_before_randomization_the_stratum_may_change(centre: Centre):
    subject = make.a_subject(centre)
    answers = make.screening(centre.study, strata={"visceral": "no", "sensitive": "no"})
    changed = enrolment.change_answers(subject, answers, by=make.TESTER, why="Typing error")
    assert changed.stratum_key == "visceral=no|sensitive=no"
