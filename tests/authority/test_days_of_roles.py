"""A role counts from its first to its last day, by the calendar of its place."""

from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from django.urls import reverse

from assessments.letters import coordinators
from enrolment import people
from enrolment.access import centres_for, held_roles, studies_for
from enrolment.models import CentreRole
from enrolment.people import Days, Person
from iwrs.accounts.models import Role, StudyRole, User
from iwrs.clock import real_today
from iwrs.problems import Invalid
from tests.factories import TESTER, a_centre, a_study, a_user
from tests.hostile.walk import signed_in
from tests.portal.conftest import a_site

pytestmark = [pytest.mark.django_db, pytest.mark.requirement("REQ-019")]
KIRITIMATI, PAGO = "Pacific/Kiritimati", "Pacific/Pago_Pago"  # UTC+14 and UTC-11
NOON, LATE = datetime(2026, 3, 10, 9, 30, tzinfo=UTC), datetime(2026, 3, 10, 10, 30, tzinfo=UTC)


def again(user: User) -> User:
    """The person at the next request."""
    return User.objects.get(pk=user.pk)


@pytest.mark.parametrize(
    ("zone", "since", "until", "early", "later"),
    [
        # at 10:00 UTC midnight passes on Kiritimati, from the 10th to the 11th
        (KIRITIMATI, date(2026, 3, 11), None, False, True),
        (KIRITIMATI, date(2026, 3, 1), date(2026, 3, 10), True, False),
        # at 11:00 UTC it passes at Pago Pago, from the 9th to the 10th
        (PAGO, date(2026, 3, 10), None, False, False),
        (PAGO, date(2026, 3, 1), date(2026, 3, 9), True, True),
        ("UTC", date(2026, 3, 10), date(2026, 3, 10), True, True),
    ],
)
def test_a_centre_role_follows_the_calendar_of_the_centre(
    zone: str, since: date, until: date | None, early: bool, later: bool
) -> None:
    centre = a_centre(a_study(with_list=False), cover=0, time_zone=zone, active=False)
    user = a_user(Role.SITE_COORDINATOR)
    CentreRole.objects.create(
        user=user, centre=centre, role=Role.SITE_COORDINATOR, since=since, until=until
    )
    for moment, counts in ((NOON, early), (LATE, later)):
        with time_machine.travel(moment, tick=False):
            assert centres_for(again(user)).exists() is counts, moment
            assert bool(coordinators(centre)) is counts, moment


def test_a_study_role_follows_utc() -> None:
    study = a_study(with_list=False)
    user = a_user(Role.MONITOR)
    StudyRole.objects.create(
        user=user,
        study_code=study.code,
        role=Role.MONITOR,
        since=date(2026, 3, 10),
        until=date(2026, 3, 10),
    )
    for day, counts in ((9, False), (10, True), (11, False)):
        for hour in (0, 23):
            with time_machine.travel(datetime(2026, 3, day, hour, 59, tzinfo=UTC), tick=False):
                assert studies_for(again(user)).exists() is counts


def test_a_role_that_ends_now_gives_nothing_at_the_next_request() -> None:
    site = a_site()
    browser = signed_in(site.investigator)
    page = reverse("centre", args=[site.here.pk])
    assert browser.get(page).status_code == 200
    people.end_centre_role(site.investigator.centre_roles.get(), by=TESTER, why="Left")
    assert browser.get(page).status_code == 404
    manager = signed_in(site.study_manager)
    assert manager.get(page).status_code == 200
    people.end_study_role(site.study_manager.study_roles.get(), by=TESTER, why="Left")
    assert manager.get(page).status_code == 404


def test_days_are_given_with_the_role_on_the_page() -> None:
    site = a_site()
    manager, today = signed_in(site.study_manager), real_today("Europe/Paris")
    page = reverse("add-person", args=[site.here.pk])
    typed = {"email": "lea@example.org", "name": "Léa", "role": "monitor"}
    to_come, last = today + timedelta(days=3), today + timedelta(days=30)
    sent = manager.post(page, typed | {"since": str(to_come), "until": str(last)})
    assert sent.status_code == 302
    held = CentreRole.objects.get(user__name="Léa")
    assert (held.since, held.until) == (to_come, last)
    assert held_roles(again(held.user)) == []
    for wrong, text in [
        ({"since": str(today - timedelta(days=1))}, "A role begins today or later."),
        ({"since": str(last), "until": str(to_come)}, "before the first day"),
        ({"until": "soon"}, "Give the day as year-month-day"),
    ]:
        refused = manager.post(page, typed | {"role": "investigator"} | wrong)
        assert refused.status_code == 422
        assert text in refused.content.decode()
    assert CentreRole.objects.filter(user=held.user).count() == 1


def test_a_last_day_can_be_set_ahead_and_taken_back() -> None:
    site = a_site()
    held, today = site.monitor.centre_roles.get(), real_today("Europe/Paris")
    manager, page = signed_in(site.study_manager), reverse("end-centre-role", args=[held.pk])
    assert manager.post(page, {"why": "Moves", "last_day": str(today)}).status_code == 302
    held.refresh_from_db()
    assert (held.until, held_roles(again(site.monitor)) != []) == (today, True)
    refused = manager.post(page, {"why": "x", "last_day": str(today - timedelta(days=1))})
    assert (refused.status_code, b"This day is over." in refused.content) == (422, True)
    person = Person(site.monitor.email, "Max")
    since = held.since
    held = people.add_to_centre(site.here, person, Role.MONITOR, by=TESTER)
    assert (held.since, held.until) == (since, None)
    days = Days(first=today - timedelta(days=9))
    with pytest.raises(Invalid, match="A role begins today or later"):
        people.add_to_centre(site.there, person, Role.MONITOR, by=TESTER, days=days)
