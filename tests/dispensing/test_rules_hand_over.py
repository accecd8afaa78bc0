"""Hand-over and first dose: not after expiry, not after the end, by the centre's own calendar."""

from datetime import UTC, date, datetime, timedelta

import pytest

from assessments.services import record_event
from dispensing.models import Dispensation, SupplyRun
from dispensing.services import hand_over, record_first_dose
from dispensing.tasks import request_supply_of_today
from enrolment.models import Subject
from iwrs import clock
from iwrs.problems import Invalid
from tests import factories as make
from tests.roles import as_unblinded

pytestmark = pytest.mark.django_db


@pytest.fixture
def subject() -> Subject:
    with clock.at(make.at(2010, 3, 1)):
        centre = make.a_centre(make.a_study(), cover=0)
        make.a_cohort(centre, expires_on=date(2010, 6, 1))
    with clock.at(make.at(2010, 3, 2)):
        return make.a_randomized_subject(centre)


def first(subject: Subject) -> Dispensation:
    return subject.dispensations.get(number=0)


def hand_over_on(subject: Subject, day: date) -> Dispensation:
    with clock.at(make.at(2010, 7, 1)):
        return hand_over(first(subject), by=make.TESTER, on=day)


def dose_on(subject: Subject, day: date) -> object:
    with clock.at(make.at(2010, 7, 1)):
        return record_first_dose(subject, by=make.TESTER, on=day)


def end(subject: Subject, kind: str, day: date) -> object:
    with clock.at(make.at(2010, 7, 1)):
        return record_event(subject, kind, by=make.TESTER, on=day)


@pytest.mark.requirement("REQ-065")
def test_an_expired_kit_is_not_handed_over(subject: Subject):
    with pytest.raises(Invalid) as refused:
        hand_over_on(subject, date(2010, 6, 2))
    assert "1 June 2010" in refused.value.errors["on"]
    assert first(subject).status == "assigned"
    assert hand_over_on(subject, date(2010, 6, 1)).status == "handed_over"


@pytest.mark.parametrize("kind", ["death", "withdrawal", "lost"])
def test_after_the_end_nothing_is_handed_over(subject: Subject, kind: str):
    end(subject, kind, date(2010, 3, 10))
    with pytest.raises(Invalid) as refused:
        hand_over_on(subject, date(2010, 3, 11))
    assert "10 March 2010" in refused.value.errors["on"]
    hand_over_on(subject, date(2010, 3, 10))
    with pytest.raises(Invalid):
        dose_on(subject, date(2010, 3, 11))
    dose_on(subject, date(2010, 3, 10))


def test_the_first_end_counts(subject: Subject):
    end(subject, "withdrawal", date(2010, 3, 10))
    end(subject, "death", date(2010, 4, 10))
    assert Subject.objects.get(pk=subject.pk).ended_on == date(2010, 3, 10)


def test_a_new_therapy_is_no_end(subject: Subject):
    end(subject, "new_therapy", date(2010, 3, 10))
    assert hand_over_on(subject, date(2010, 3, 11)).status == "handed_over"


def test_nobody_dies_before_the_hand_over_or_the_first_dose(subject: Subject):
    hand_over_on(subject, date(2010, 3, 10))
    with pytest.raises(Invalid) as refused:
        end(subject, "death", date(2010, 3, 9))
    assert "10 March 2010" in refused.value.errors["on"]
    dose_on(subject, date(2010, 3, 12))
    with pytest.raises(Invalid) as refused:
        end(subject, "death", date(2010, 3, 11))
    assert "12 March 2010" in refused.value.errors["on"]
    end(subject, "death", date(2010, 3, 12))


@pytest.mark.requirement("REQ-033")
@pytest.mark.parametrize(
    ("zone", "local_day"),
    [("Pacific/Auckland", date(2010, 3, 3)), ("America/Los_Angeles", date(2010, 3, 2))],
)
def test_the_day_of_assignment_is_that_of_the_centre(zone: str, local_day: date):
    with clock.at(make.at(2010, 3, 1)):
        centre = make.a_centre(make.a_study(), time_zone=zone)
    with clock.at(datetime(2010, 3, 2, 20, tzinfo=UTC)):
        subject = make.a_randomized_subject(centre)
    with pytest.raises(Invalid):
        hand_over_on(subject, local_day - timedelta(days=1))
    assert hand_over_on(subject, local_day).handed_over_on == local_day


@pytest.mark.parametrize(("status", "runs"), [("queued", 1), ("done", 1), ("failed", 2)])
def test_only_a_failed_supply_run_is_asked_for_again(status: str, runs: int):
    study = make.a_study(with_list=False)
    with clock.at(make.at(2010, 3, 2)):
        request_supply_of_today(study.pk)
        with as_unblinded():
            SupplyRun.objects.filter(study=study).update(status=status)
        request_supply_of_today(study.pk)
    assert SupplyRun.objects.filter(study=study).count() == runs
