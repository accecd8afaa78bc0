"""The sweep beside people who work: it waits for nobody."""

from datetime import date

import pytest

from assessments.sweep import SweepCounts, sweep
from iwrs import clock
from tests import factories as make


@pytest.fixture
def subject(committed_db):
    with clock.at(make.at(2010, 3, 1)):
        centre = make.a_centre(make.a_study())
    with clock.at(make.at(2010, 3, 2)):
        return make.a_randomized_subject(centre)


def test_a_visit_that_somebody_records_is_skipped_and_taken_next_time(subject, logins):
    visit = subject.visits.get(number=1)
    other = logins.blinded()
    with clock.at(make.at(2010, 4, 6)):
        with other.transaction():
            other.execute("SELECT FROM assessments_visit WHERE id = %s FOR UPDATE", [visit.pk])
            assert sweep(subject.study) == SweepCounts(due=0, overdue=0, reminders=1)
        assert sweep(subject.study) == SweepCounts(due=1, overdue=0, reminders=0)
    visit.refresh_from_db()
    assert visit.status == "due"
    assert visit.window_from == date(2010, 4, 6)
