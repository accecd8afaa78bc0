"""What a site or an office may send too early, too late or twice: told why, and nothing changes."""

from datetime import timedelta

import pytest
from django.urls import reverse

from assessments.models import SubjectEvent, TumourRead
from dispensing.models import Dispensation
from dsmb.models import DataCut, Extract
from enrolment.services import suspend_centre
from iwrs import clock
from randomization.models import Randomization
from tests.factories import TESTER, a_randomized_subject, a_subject
from tests.signing import components, sign_page

WATCHED = (Randomization, Dispensation, SubjectEvent, TumourRead, DataCut, Extract)


def day(days=0):
    return (clock.today("Europe/Paris") + timedelta(days=days)).isoformat()


def rows():
    """Every row that the acts below could have made, and the subjects' states."""
    return [list(model.objects.order_by("pk").values()) for model in WATCHED]


@pytest.fixture
def coordinator(site, signed_in):
    return signed_in(site.site_coordinator)


def refused(browser, address, typed, *, status, text):
    """Send, and expect a refusal with its text that leaves every row as it was."""
    before = rows()
    answer = browser.post(address, typed)
    page = answer.content.decode()
    assert answer.status_code == status
    assert text in page
    assert 'role="alert"' in page
    assert rows() == before
    return page


def test_a_second_death(site, coordinator):
    subject = a_randomized_subject(site.here)
    address = reverse("event", args=[subject.pk, "death"])
    assert coordinator.post(address, {"on": day()}).status_code == 302
    text = "Death is already recorded for this subject."
    refused(coordinator, address, {"on": day()}, status=409, text=text)
    assert subject.events.filter(kind="death").count() == 1


def test_an_extract_for_a_recipient_without_a_key(site, signed_in):
    administrator = signed_in(site.administrator)
    a_randomized_subject(site.here)
    cut = reverse("cut-data", args=[site.study.code])
    administrator.post(cut, {"on": clock.today().isoformat(), "reason": "Planned look"})
    recipient = site.study.definition.recipients[0]
    typed = {"cut": DataCut.objects.get().pk, "recipient": recipient.key, "reason": "First look"}
    address = reverse("request-extract", args=[site.study.code])
    text = f"No key is registered for {recipient.label}."
    typed |= components(site.administrator, administrator.get(address))
    page = refused(administrator, address, typed, status=409, text=text)
    assert "Ask the unblinded statistician to register the recipient" in page
    assert "First look</textarea>" in page


def test_randomizing_with_a_stratum_left_open(site, coordinator):
    factor = site.study.definition.factors[0]
    strata = {each.key: each.levels[0].key for each in site.study.definition.factors[1:]}
    subject = a_subject(site.here, strata=strata)
    assert subject.status == "screening"
    address = reverse("randomize", args=[subject.pk])
    refused(coordinator, address, {}, status=409, text=f"{factor.question} Not answered.")
    subject.refresh_from_db()
    assert (subject.status, subject.randomized_at) == ("screening", None)


@pytest.mark.requirement("REQ-066")
def test_randomizing_at_a_suspended_centre(site, coordinator):
    subject = a_subject(site.here)
    suspend_centre(site.here, by=TESTER, why="Audit finding")
    address = reverse("randomize", args=[subject.pk])
    text = f"Centre {site.here.number} is not active."
    typed = components(site.site_coordinator, coordinator.get(address))
    refused(coordinator, address, typed, status=409, text=text)
    subject.refresh_from_db()
    assert (subject.status, subject.randomized_at) == ("eligible", None)


def test_randomizing_while_accrual_is_paused(site, coordinator, signed_in):
    subject = a_subject(site.here)
    state = reverse("change-accrual", args=[site.study.code])
    signed_in(site.study_manager).post(state, {"status": "paused", "why": "Safety review"})
    address = reverse("randomize", args=[subject.pk])
    text = "The study is not open to accrual."
    typed = components(site.site_coordinator, coordinator.get(address))
    refused(coordinator, address, typed, status=409, text=text)


@pytest.mark.requirement("REQ-003")
def test_randomizing_twice_gives_the_first_answer_and_makes_nothing(site, coordinator):
    subject = a_subject(site.here)
    address = reverse("randomize", args=[subject.pk])
    first = sign_page(coordinator, site.site_coordinator, address)
    before = rows()
    again = coordinator.post(address)
    assert first.url == reverse("randomized", args=[subject.pk])
    assert again.url == f"{first.url}?again=1"
    assert b"Here is the first answer" in coordinator.get(again.url).content
    assert rows() == before
    assert Randomization.objects.filter(subject=subject).count() == 1


def test_progression_before_randomization(site, signed_in):
    subject = a_subject(site.here)
    typed = {"assessed_on": day(), "response": "PD", "read_on": day()}
    address = reverse("central-read", args=[subject.pk])
    text = f"Subject {subject.number} is not randomized."
    refused(signed_in(site.study_manager), address, typed, status=409, text=text)


def test_progression_on_a_day_before_randomization(site, signed_in):
    subject = a_randomized_subject(site.here)
    typed = {"assessed_on": day(-9), "response": "PD", "read_on": day()}
    address = reverse("central-read", args=[subject.pk])
    refused(
        signed_in(site.study_manager),
        address,
        typed,
        status=422,
        text="This day is before the subject was randomized.",
    )


def test_a_data_cut_in_the_future(site, signed_in):
    a_randomized_subject(site.here)
    typed = {"on": (clock.today() + timedelta(days=9)).isoformat(), "reason": "Look"}
    address = reverse("cut-data", args=[site.study.code])
    page = refused(
        signed_in(site.administrator),
        address,
        typed,
        status=422,
        text="This day is in the future.",
    )
    assert "Look</textarea>" in page
