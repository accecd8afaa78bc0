"""The sweep: planned, due, overdue, and one letter each; again changes nothing."""

from datetime import date, timedelta

import pytest
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext

from assessments.models import Visit
from assessments.services import miss_visit
from assessments.sweep import SweepCounts, sweep
from iwrs import clock, outbox
from iwrs.accounts.models import Role
from iwrs.models import OutboxMessage, Study
from tests import factories as make
from tests.dsmb.rows import as_owner

pytestmark = pytest.mark.django_db
DUE = date(2010, 4, 13)  # visit 1 of a subject randomized on 2 March; window 6 to 20 April


@pytest.fixture
def centre():
    with clock.at(make.at(2010, 3, 1)):
        return make.a_centre(make.a_study())


@pytest.fixture
def subject(centre):
    with clock.at(make.at(2010, 3, 2)):
        return make.a_randomized_subject(centre)


def sweep_on(study, day):
    with clock.at(make.at(day.year, day.month, day.day)):
        return sweep(study)


def status(subject, number=1):
    return subject.visits.get(number=number).status


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2010, 4, 5), "planned"),
        (date(2010, 4, 6), "due"),
        (date(2010, 4, 20), "due"),
        (date(2010, 4, 21), "overdue"),
    ],
)
def test_a_visit_follows_its_window(centre, subject, day, expected):
    sweep_on(centre.study, day)
    assert status(subject) == expected
    assert status(subject, 2) == "planned"


def test_sweeping_again_changes_nothing(centre, subject):
    day = date(2010, 4, 6)
    assert sweep_on(centre.study, day) == SweepCounts(due=1, overdue=0, reminders=1)
    assert sweep_on(centre.study, day) == SweepCounts(0, 0, 0)
    later = date(2010, 4, 21)
    assert sweep_on(centre.study, later) == SweepCounts(due=0, overdue=1, reminders=1)
    assert sweep_on(centre.study, later) == SweepCounts(0, 0, 0)
    keys = set(OutboxMessage.objects.values_list("key", flat=True))
    pk = subject.visits.get(number=1).pk
    assert keys == {f"visit-{pk}-reminder", f"visit-{pk}-overdue"}


def test_the_reminder_comes_the_announced_days_before_the_due_day(centre, subject):
    days = centre.study.definition.schedule.reminder_days_before
    assert sweep_on(centre.study, DUE - timedelta(days=days + 1)).reminders == 0
    assert sweep_on(centre.study, DUE - timedelta(days=days)).reminders == 1


def test_a_study_that_was_not_swept_for_long_writes_of_what_is_late_only(centre, subject):
    counts = sweep_on(centre.study, date(2010, 7, 20))  # visits 1 to 3 are over, 4 is ahead
    assert counts == SweepCounts(due=3, overdue=3, reminders=3)
    assert not OutboxMessage.objects.filter(topic="visit-reminder").exists()


def test_closed_visits_stay_as_they_are(centre, subject):
    with clock.at(make.at(2010, 4, 14)):
        miss_visit(subject.visits.get(number=1), by=make.TESTER, why="On holiday")
    assert sweep_on(centre.study, date(2010, 4, 21)) == SweepCounts(0, 0, 0)
    assert status(subject) == "missed"


def test_another_study_is_left_alone(centre, subject):
    other = make.a_study(with_list=False)
    assert sweep_on(other, date(2010, 4, 21)) == SweepCounts(0, 0, 0)
    assert status(subject) == "planned"


def test_a_replayed_study_is_swept_in_its_own_time(centre, subject):
    centre.study.replay_now = make.at(2010, 4, 6)
    assert sweep(centre.study) == SweepCounts(1, 0, 1)


@pytest.mark.requirement("REQ-025")
def test_changes_name_the_sweep_in_the_audit_trail(centre, subject):
    sweep_on(centre.study, date(2010, 4, 6))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pgh_context ->> 'act' FROM assessments_visitevent"
            " WHERE pgh_obj_id = %s AND status = 'due'",
            [subject.visits.get(number=1).pk],
        )
        assert cursor.fetchall() == [("sweep visits",)]


def test_the_number_of_queries_does_not_grow(centre, django_assert_max_num_queries):
    def randomize(count):
        with clock.at(make.at(2010, 3, 2)):
            for _ in range(count):
                make.a_randomized_subject(centre)

    def queries(day):
        study = Study.objects.get(pk=centre.study_id)
        with django_assert_max_num_queries(30) as made:
            sweep_on(study, day)
        return len(made)

    randomize(1)
    few = [queries(date(2010, 4, day)) for day in (6, 7, 21)]
    randomize(5)
    many = [queries(date(2010, 4, day)) for day in (6, 7, 21)]
    assert queries(date(2010, 4, 22)) == min(few)  # nothing to do: the fewest
    assert max(many) <= max(few)


@pytest.mark.requirement("REQ-056")
def test_letters_reach_the_centre_and_name_the_number_only(centre, subject):
    coordinator = make.a_user(Role.SITE_COORDINATOR, centre=centre)
    with clock.at(make.at(2010, 3, 1)):
        elsewhere = make.a_centre(centre.study, cover=0)
    make.a_user(Role.SITE_COORDINATOR, centre=elsewhere)
    make.a_user(Role.INVESTIGATOR, centre=centre)
    gone = make.a_user(Role.SITE_COORDINATOR, centre=centre)
    gone.is_active = False
    gone.save()
    sweep_on(centre.study, date(2010, 4, 6))
    assert outbox.deliver_due() == 1
    [letter] = mail.outbox
    assert letter.to == [coordinator.email]
    assert subject.number in letter.subject
    assert "13 April 2010" in letter.subject
    for word in (subject.number, centre.number, "6 April 2010", "20 April 2010", "http://"):
        assert word in letter.body
    for word in ("EVE", "PBO", "Placebo or", subject.randomization.number):
        assert word not in letter.body + letter.subject
    assert "&" not in letter.body


def test_an_overdue_visit_is_written_about_until_it_is_recorded(centre, subject):
    make.a_user(Role.SITE_COORDINATOR, centre=centre)
    sweep_on(centre.study, date(2010, 4, 6))
    sweep_on(centre.study, date(2010, 4, 21))
    with clock.at(make.at(2010, 4, 22)):
        miss_visit(subject.visits.get(number=1), by=make.TESTER, why="On holiday")
    assert outbox.deliver_due() == 2
    assert mail.outbox == []
    assert set(OutboxMessage.objects.values_list("last_error", flat=True)) == {"NotNeeded"}
    assert not OutboxMessage.objects.filter(sent_at=None).exists()


def test_the_overdue_letter(centre, subject):
    make.a_user(Role.SITE_COORDINATOR, centre=centre)
    sweep_on(centre.study, date(2010, 4, 21))
    outbox.deliver_due()
    [letter] = mail.outbox
    assert letter.subject.endswith(f"subject {subject.number}: visit 1 is overdue")
    assert "Last day allowed: 20 April 2010" in letter.body


def test_what_is_due_is_found_by_indexes(centre, subject):
    """Visits that are over cost the sweep nothing, however many there are."""
    Visit.objects.bulk_create(
        Visit(
            subject=subject,
            number=number,
            due_on=DUE,
            window_from=DUE,
            window_to=DUE,
            status="cancelled",
        )
        for number in range(10, 8010)
    )
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("ANALYZE assessments_visit")
    with CaptureQueriesContext(connection) as captured:
        sweep_on(centre.study, date(2010, 4, 6))
    searches = [query["sql"] for query in captured if '"window_' in query["sql"]]
    plans = [explained(sql) for sql in searches if sql.startswith("SELECT")]
    assert len(plans) == 3
    for plan in plans:
        assert "Seq Scan on assessments_visit" not in plan
        assert "visit_becomes_" in plan


def explained(sql):
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN " + sql)
        return "\n".join(line for (line,) in cursor.fetchall())
