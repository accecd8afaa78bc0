"""When a visit can take place, what a progression ends, and whose calendar the sweep reads."""

from datetime import UTC, date, datetime, timedelta

import pytest

from assessments.models import Visit
from assessments.services import record_read, record_visit
from assessments.sweep import sweep
from enrolment.models import Centre, Subject
from iwrs import clock
from iwrs.problems import Invalid
from tests import factories as make

pytestmark = pytest.mark.django_db
DUE = date(2010, 4, 13)  # visit 1 of a subject randomized on 2 March
HALF = timedelta(days=21)


@pytest.fixture
def subject() -> Subject:
    with clock.at(make.at(2010, 3, 1)):
        centre = make.a_centre(make.a_study())
    with clock.at(make.at(2010, 3, 2)):
        return make.a_randomized_subject(centre)


def hold(subject: Subject, number: int, on: date, response: str = "SD") -> Visit:
    with clock.at(make.at(2010, 12, 1)):
        visit = subject.visits.get(number=number)
        return record_visit(visit, by=make.TESTER, on=on, local_response=response)


def test_a_visit_is_not_nearer_to_the_one_before(subject: Subject):
    with pytest.raises(Invalid) as refused:
        hold(subject, 1, DUE - HALF - timedelta(days=1))
    assert "23 March 2010" in refused.value.errors["on"]
    assert subject.visits.get(number=1).status == "planned"
    assert hold(subject, 1, DUE - HALF).done_on == DUE - HALF


def test_visits_take_place_one_after_the_other(subject: Subject):
    late = DUE + timedelta(days=30)
    hold(subject, 1, late)
    for day in (late, late - timedelta(days=1)):
        with pytest.raises(Invalid) as refused:
            hold(subject, 2, day)
        assert "13 May 2010" in refused.value.errors["on"]
    hold(subject, 3, DUE + timedelta(days=84))
    with pytest.raises(Invalid):
        hold(subject, 2, DUE + timedelta(days=84))
    assert hold(subject, 2, late + timedelta(days=1)).status == "done"


def statuses(subject: Subject) -> list[str]:
    return list(subject.dispensations.order_by("number").values_list("status", flat=True))


def test_a_progression_at_a_visit_ends_the_dispensations(subject: Subject):
    hold(subject, 1, DUE, "PD")
    assert statuses(subject) == ["assigned"] + ["cancelled"] * 4


@pytest.mark.parametrize(("reader", "left"), [("local", "cancelled"), ("central", "planned")])
def test_a_local_progression_between_visits_ends_them_too(subject: Subject, reader: str, left: str):
    with clock.at(make.at(2010, 3, 20)):
        day = date(2010, 3, 20)
        record_read(subject, reader, by=make.TESTER, assessed_on=day, response="PD", read_on=day)
    assert statuses(subject) == ["assigned"] + [left] * 4


def a_centre_in(zone: str) -> Centre:
    with clock.at(make.at(2010, 3, 1)):
        return make.a_centre(make.a_study(), time_zone=zone)


@pytest.mark.requirement("REQ-033")
@pytest.mark.parametrize(
    ("zone", "shift"), [("Pacific/Auckland", 1), ("Europe/Paris", 0), ("America/Los_Angeles", 0)]
)
def test_the_sweep_reads_the_date_of_each_centre_in_the_evening(zone: str, shift: int):
    check_sweep(zone, hour=20, ahead=shift)


@pytest.mark.requirement("REQ-033")
@pytest.mark.parametrize(("zone", "shift"), [("Europe/Paris", 0), ("America/Los_Angeles", -1)])
def test_the_sweep_reads_the_date_of_each_centre_in_the_morning(zone: str, shift: int):
    check_sweep(zone, hour=3, ahead=shift)


def check_sweep(zone: str, *, hour: int, ahead: int) -> None:
    """At `hour` UTC the centre's calendar is `ahead` days before that of UTC."""
    centre = a_centre_in(zone)
    with clock.at(make.at(2010, 3, 2, 18 if zone.startswith("America") else 10)):
        subject = make.a_randomized_subject(centre)
    visit = subject.visits.get(number=1)
    for day, before, after in [
        (visit.window_from, "planned", "due"),
        (visit.window_to + timedelta(days=1), "due", "overdue"),
    ]:
        utc = day - timedelta(days=ahead)
        for moment, expected in [(utc - timedelta(days=1), before), (utc, after)]:
            with clock.at(datetime(moment.year, moment.month, moment.day, hour, tzinfo=UTC)):
                sweep(centre.study)
            assert subject.visits.get(number=1).status == expected
