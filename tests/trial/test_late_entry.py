"""A randomization made on paper while the system was down, entered afterwards with both clocks."""

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.urls import reverse

from assessments.models import Visit
from dispensing.kit_number import with_check_digit
from dispensing.services import hand_over
from enrolment.models import Centre, Subject
from iwrs import clock
from iwrs.models import Study
from iwrs.problems import Invalid, Problem
from iwrs.signatures.models import SignedRecord
from iwrs.studies import set_status
from randomization.models import LateEntry, Randomization
from tests import factories as make
from tests.api.client import Edc
from tests.portal.conftest import signed_in, site
from tests.signing import sign_page
from trial.late import Late, late_record
from trial.services import randomize

__all__ = ["signed_in", "site"]
pytestmark = [pytest.mark.django_db, pytest.mark.requirement("REQ-071")]
BY = make.TESTER
THEN, NOW = make.at(2010, 3, 2), make.at(2010, 3, 4)
ANOTHER = with_check_digit("987654")
OUTAGE = "The system was down from 2 to 3 March"


@pytest.fixture
def centre() -> Centre:
    with clock.at(make.at(2010, 3, 1)):
        return make.a_centre(make.a_study())


@pytest.fixture
def subject(centre: Centre) -> Subject:
    """Screened, in the system, after the outage."""
    with clock.at(NOW):
        return make.a_subject(centre, consent_on=date(2010, 3, 1))


def enter(subject: Subject, at: datetime = THEN, reason: str = OUTAGE, kit: str = "") -> Any:
    with clock.at(NOW):
        return randomize(subject, by=BY, late=Late(at, reason, kit))


def test_it_happened_then_and_was_recorded_now(subject: Subject) -> None:
    answer = enter(subject)
    row = Randomization.objects.get()
    entry = LateEntry.objects.get()
    assert row.occurred_at == THEN
    assert row.recorded_at > datetime.now(THEN.tzinfo) - timedelta(minutes=5)
    assert (entry.entered_at, entry.reason, entry.kit_differs) == (NOW, OUTAGE, False)
    assert entry.recorded_at > row.occurred_at
    assert Visit.objects.get(number=1).due_on == date(2010, 4, 13), "42 days after the 2nd"
    first = subject.dispensations.get(number=0)
    with clock.at(NOW):
        hand_over(first, by=BY, on=date(2010, 3, 2))
    assert not enter(subject).first_time
    assert answer.kit == first.kit


def test_the_next_place_and_kit_whoever_enters_them_in_order(centre: Centre) -> None:
    """The kits are those that an outage's paper would have named: place after place."""
    other = make.a_centre(make.a_study())
    assert other.study != centre.study
    with clock.at(NOW):
        late, live = (make.a_subject(centre, consent_on=date(2010, 3, 1)) for _ in range(2))
    enter(late)
    with clock.at(NOW):
        randomize(live, by=BY)
    served = centre.cohorts.get().served
    assert served == 2
    assert make.arm_of(late)
    assert make.arm_of(live)


def test_another_kit_than_the_papers_is_recorded_and_not_refused(subject: Subject) -> None:
    answer = enter(subject, kit=ANOTHER)
    entry = LateEntry.objects.get()
    assert entry.kit_differs
    assert entry.paper_kit == ANOTHER != answer.kit.number
    subject.refresh_from_db()
    assert subject.status == "randomized"


@pytest.mark.parametrize(
    ("at", "reason", "kit", "field"),
    [
        (NOW + timedelta(minutes=1), OUTAGE, "", "occurred_at"),
        (NOW - timedelta(days=8), OUTAGE, "", "occurred_at"),
        (make.at(2010, 2, 28), OUTAGE, "", "occurred_at"),  # the centre was not active
        (make.at(2010, 3, 1, 12), " ", "", "late_reason"),
        (THEN, OUTAGE, "1234567", "paper_kit"),  # the check digit does not fit
        (THEN, OUTAGE, "12", "paper_kit"),
    ],
)
def test_what_cannot_have_happened_changes_nothing(
    subject: Subject, at: datetime, reason: str, kit: str, field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        enter(subject, at, reason, kit)
    assert list(refused.value.errors) == [field]
    assert not Randomization.objects.exists()


def test_before_consent_and_while_accrual_is_paused(centre: Centre, subject: Subject) -> None:
    with clock.at(NOW):
        later = make.a_subject(centre, consent_on=date(2010, 3, 3))
    with pytest.raises(Invalid) as refused:
        enter(later)
    assert list(refused.value.errors) == ["occurred_at"]
    study = Study.objects.get(pk=centre.study_id)
    set_status(study, "paused", by=BY)
    assert enter(subject).first_time
    with clock.at(NOW), pytest.raises(Problem) as live:
        randomize(later, by=BY)
    assert live.value.code == "accrual_not_open"
    set_status(study, "closed", by=BY)
    with pytest.raises(Problem) as closed:
        enter(later, make.at(2010, 3, 3))
    assert closed.value.code == "accrual_not_open"


def test_a_site_enters_it_on_a_page_and_signs(site: SimpleNamespace, signed_in: Any) -> None:
    # No hour comes twice there, so a time by the clock of the centre is one moment.
    zone = {"time_zone": "Asia/Tokyo"}
    Centre.objects.filter(pk=site.here.pk).update(activated_at=make.at(2010, 3, 1), **zone)
    subject = make.a_subject(Centre.objects.get(pk=site.here.pk))
    browser = signed_in(site.site_coordinator)
    page, address = (reverse(name, args=[subject.pk]) for name in ("subject", "randomize-late"))
    assert address in browser.get(page).content.decode()
    local = clock.now().astimezone(clock.ZoneInfo("Asia/Tokyo")) - timedelta(minutes=90)
    typed = {"occurred_at": local.strftime("%Y-%m-%dT%H:%M"), "late_reason": OUTAGE}
    bad = sign_page(browser, site.site_coordinator, address, typed | {"paper_kit": "12"})
    assert bad.status_code == 422
    assert OUTAGE in bad.content.decode()
    sent = sign_page(
        browser,
        site.site_coordinator,
        address,
        typed | {"paper_kit": f"{ANOTHER[:3]} {ANOTHER[3:6]} {ANOTHER[6:]}"},
    )
    assert sent.url == reverse("randomized", args=[subject.pk])
    row = Randomization.objects.get()
    assert row.occurred_at == local.replace(second=0, microsecond=0)
    assert SignedRecord.objects.get().sha256 == late_record(row.late_entry).sha256
    shown = signed_in(site.monitor).get(page).content.decode()
    for text in (
        OUTAGE,
        f"The paper gave kit {ANOTHER}",
        "was randomized on paper at the time given",
    ):
        assert text in shown
    assert "Signed version differs" not in shown
    assert browser.get(address).url == reverse("randomized", args=[subject.pk])


@pytest.mark.requirement("REQ-033")
def test_of_the_hour_that_comes_twice_the_page_asks_which_one(
    site: SimpleNamespace, signed_in: Any
) -> None:
    Centre.objects.filter(pk=site.here.pk).update(activated_at=make.at(2009, 10, 1))
    subject = make.a_subject(Centre.objects.get(pk=site.here.pk), consent_on=date(2009, 10, 1))
    address = reverse("randomize-late", args=[subject.pk])
    browser, signer = signed_in(site.site_coordinator), site.site_coordinator
    typed = {"occurred_at": "2009-10-25T02:30", "late_reason": OUTAGE}
    question = "this time came twice"
    with clock.at(make.at(2009, 10, 26)):
        assert question not in browser.get(address).content.decode()
        asked = sign_page(browser, signer, address, typed)
        assert asked.status_code == 422
        assert question in asked.content.decode()
        assert "(00:30 UTC)" in asked.content.decode()
        assert "(01:30 UTC)" in asked.content.decode()
        wrong = sign_page(browser, signer, address, typed | {"which_hour": "second"}, password="no")
        assert question in wrong.content.decode()
        assert not Randomization.objects.exists()
        sent = sign_page(browser, signer, address, typed | {"which_hour": "second"})
        assert sent.status_code == 302
    assert Randomization.objects.get().occurred_at == datetime(2009, 10, 25, 1, 30, tzinfo=UTC)


@pytest.mark.requirement("REQ-033")
@pytest.mark.parametrize(
    ("wall", "said"),
    [
        ("2010-03-28T02:30", "this time was skipped"),
        ("0001-01-01T00:00", "Give a day between"),
        ("9999-12-31T23:59", "Give a day between"),
    ],
)
def test_a_time_that_was_no_moment_is_refused(
    site: SimpleNamespace, signed_in: Any, wall: str, said: str
) -> None:
    Centre.objects.filter(pk=site.here.pk).update(activated_at=make.at(2010, 3, 1))
    subject = make.a_subject(Centre.objects.get(pk=site.here.pk))
    address = reverse("randomize-late", args=[subject.pk])
    typed = {"occurred_at": wall, "late_reason": OUTAGE}
    with clock.at(make.at(2010, 3, 29)):
        refused = sign_page(signed_in(site.site_coordinator), site.site_coordinator, address, typed)
    assert refused.status_code == 422
    assert said in refused.content.decode()
    assert not Randomization.objects.exists()


def test_an_edc_system_enters_it() -> None:
    study = make.a_study()
    edc, centre = Edc(study), make.a_centre(study)
    Centre.objects.filter(pk=centre.pk).update(activated_at=make.at(2010, 3, 1))
    number = make.a_subject(centre).number
    address = f"subjects/{number}/randomization"
    then = (clock.now() - timedelta(hours=3)).replace(microsecond=0)
    for body, field in [
        ({"late_reason": OUTAGE}, "occurred_at"),
        ({"occurred_at": "yesterday", "late_reason": OUTAGE}, "occurred_at"),
        ({"occurred_at": f"{then:%Y-%m-%dT%H:%M:%S}", "late_reason": OUTAGE}, "occurred_at"),
        ({"occurred_at": then.isoformat()}, "late_reason"),
    ]:
        refused = edc.post(address, body, key="one")
        assert (refused.status_code, [*refused.json()["errors"]]) == (422, [field])
    body = {"occurred_at": then.isoformat(), "late_reason": OUTAGE}
    made = edc.post(address, body, key="one")
    assert made.status_code == 201
    assert datetime.fromisoformat(made.json()["randomized_at"]) == then
