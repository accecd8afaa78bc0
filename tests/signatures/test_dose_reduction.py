"""Dose reductions: signed by an investigator, level by level, blinded in both arms."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse

from dispensing.doses import reduce_dose
from dispensing.models import DoseReduction
from dispensing.records import reduction_record
from dispensing.services import stop_drug
from iwrs import clock
from iwrs.problems import Invalid, Problem
from iwrs.signatures.models import SignedRecord
from tests.factories import TESTER, a_randomized_subject, a_subject
from tests.signing import components, sign_page

pytestmark = pytest.mark.django_db


@pytest.fixture
def subject(site):
    return a_randomized_subject(site.here)


def address_of(subject, drug="study_drug"):
    return reverse("reduce-dose", args=[subject.pk, drug])


def today():
    return clock.today("Europe/Paris").isoformat()


@pytest.mark.requirement("REQ-005", "REQ-037")
def test_levels_go_down_in_the_order_of_the_study(site, subject, signed_in):
    browser = signed_in(site.investigator)
    typed = {"on": today(), "reason": "Stomatitis grade 3"}
    for level in ("5mg", "5mg_alternate"):
        assert sign_page(browser, site.investigator, address_of(subject), typed).status_code == 302
        made = subject.dose_reductions.latest("pk")
        kept = SignedRecord.objects.latest("pk")
        assert (made.level, made.reason) == (level, "Stomatitis grade 3")
        assert kept.sha256 == reduction_record(made).sha256
    lowest = sign_page(browser, site.investigator, address_of(subject), typed)
    assert lowest.status_code == 409
    assert "This is the lowest dose level of the study." in lowest.content.decode()
    page = browser.get(reverse("subject", args=[subject.pk])).content.decode()
    assert "Dose reduced to 5 mg every other day: Stomatitis grade 3" in page
    assert "I reduce the dose of this subject." in page
    assert "Reduce the dose of" not in page


@pytest.mark.requirement("REQ-005")
def test_only_an_investigator_reduces_and_only_with_a_signature(site, subject, signed_in):
    for role in ("site_coordinator", "pharmacist", "monitor", "study_manager"):
        assert signed_in(getattr(site, role)).get(address_of(subject)).status_code == 403
    browser = signed_in(site.investigator)
    typed = {"on": today(), "reason": "Stomatitis"}
    assert browser.post(address_of(subject), typed).status_code == 422
    wrong = sign_page(browser, site.investigator, address_of(subject), typed, password="guess")
    assert wrong.status_code == 422
    assert browser.get(address_of(subject, "exemestane")).status_code == 404
    assert browser.get(address_of(subject, "aspirin")).status_code == 404
    assert not DoseReduction.objects.exists()


def test_two_investigators_at_once_do_not_reduce_twice(site, subject, signed_in):
    browser = signed_in(site.investigator)
    typed = {"on": today(), "reason": "Stomatitis"}
    typed |= components(site.investigator, browser.get(address_of(subject)))
    reduce_dose(subject, "5mg", by=TESTER, on=clock.today("Europe/Paris"), reason="Rash")
    assert browser.post(address_of(subject), typed).status_code == 409
    assert [each.level for each in subject.dose_reductions.all()] == ["5mg"]


@pytest.mark.requirement("REQ-005")
@pytest.mark.parametrize(
    ("level", "days", "reason", "fields"),
    [
        ("5mg_alternate", 0, "Rash", {"level"}),
        ("10mg", 0, "Rash", {"level"}),
        ("1mg", 0, "Rash", {"level"}),
        ("5mg", 1, "Rash", {"on"}),
        ("5mg", -1, "Rash", {"on"}),
        ("5mg", 0, " ", {"reason"}),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_written(subject, level, days, reason, fields):
    on = clock.today("Europe/Paris") + timedelta(days=days)
    with pytest.raises(Invalid) as wrong:
        reduce_dose(subject, level, by=TESTER, on=on, reason=reason)
    assert set(wrong.value.errors) == fields
    assert not DoseReduction.objects.exists()


def test_not_before_randomization_not_after_the_stop_not_one_level_twice(site, subject):
    on = clock.today("Europe/Paris")
    with pytest.raises(Problem) as early:
        reduce_dose(a_subject(site.here), "5mg", by=TESTER, on=on, reason="Rash")
    assert early.value.code == "not_randomized"
    made = reduce_dose(subject, "5mg", by=TESTER, on=on, reason="Rash")
    again = DoseReduction(subject=subject, drug=made.drug, level="5mg", reduced_on=on, reason="x")
    with pytest.raises(IntegrityError), transaction.atomic():
        again.save()
    stop_drug(subject, "study_drug", by=TESTER, on=on, reason="adverse_event")
    with pytest.raises(Problem) as late:
        reduce_dose(subject, "5mg_alternate", by=TESTER, on=on, reason="Rash")
    assert late.value.code == "drug_stopped"
