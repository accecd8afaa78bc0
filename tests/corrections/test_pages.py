"""The pages: what is recorded, correcting it with a signature, and who may."""

from datetime import timedelta

import pytest
from django.urls import reverse

from assessments.corrections.services import correction_record
from assessments.models import Contact, Correction, TumourRead
from assessments.services import record_contact, record_event, record_read
from iwrs import clock
from iwrs.signatures.models import SignedRecord
from iwrs.templatetags.portal import day
from tests.factories import TESTER, a_randomized_subject, at
from tests.queries import queries_of
from tests.signing import components, sign_page

pytestmark = [pytest.mark.django_db, pytest.mark.requirement("REQ-035")]


@pytest.fixture(autouse=True)
def one_day():
    """Today is the same day from the beginning of a test to its end."""
    with clock.at(at(2026, 3, 3)):
        yield


@pytest.fixture
def subject(site):
    return a_randomized_subject(site.here)


def today():
    return clock.today("Europe/Paris")


def facts(browser, subject):
    return browser.get(reverse("facts", args=[subject.pk])).content.decode()


def test_an_investigator_corrects_and_everybody_reads_what_stood_there(site, subject, signed_in):
    browser = signed_in(site.investigator)
    address = reverse("correct", args=["screening", subject.pk])
    age = subject.baseline["age"]
    page = browser.get(address).content.decode()
    assert "As it stands now" in page
    typed = {
        "consent_on": subject.consent_on.isoformat(),
        **{f"baseline.{key}": value for key, value in subject.baseline.items()},
        "baseline.age": "68",
        "why": "Year of birth misread",
    }
    assert sign_page(browser, site.investigator, address, typed).status_code == 302
    made = Correction.objects.get()
    assert (made.was, made.now) == ({"baseline.age": age}, {"baseline.age": 68})
    kept = SignedRecord.objects.get()
    assert kept.sha256 == correction_record(made).sha256
    read = facts(signed_in(site.monitor), subject)
    assert f"<del>{age} " in read or f"<del>{age}<" in read
    assert "Year of birth misread" in read
    assert "I correct this record" in read
    assert "Signed version differs" not in read
    subject_page = signed_in(site.monitor).get(reverse("subject", args=[subject.pk]))
    assert "Consent and baseline: corrected. Year of birth misread" in subject_page.content.decode()


def test_a_fact_is_taken_back_without_answering_the_rest(site, subject, signed_in):
    event = record_event(subject, "withdrawal", by=TESTER, on=today())
    browser = signed_in(site.investigator)
    address = reverse("correct", args=["event", event.pk])
    typed = {"in_error": "on", "why": "It was the sister", "occurred_on": "nonsense"}
    assert sign_page(browser, site.investigator, address, typed).status_code == 302
    assert not subject.events.exists()
    page = facts(browser, subject)
    assert "Taken back: Withdrawal of consent." in page
    assert f"Day, before: <del>{day(today())}</del>" in page
    assert browser.get(address).status_code == 404


def test_who_does_not_correct_is_refused_and_central_reads_are_of_who_records_them(
    site, subject, signed_in
):
    read = record_read(
        subject, "central", by=TESTER, assessed_on=today(), response="SD", read_on=today()
    )
    own = reverse("correct", args=["screening", subject.pk])
    central = reverse("correct-central-read", args=[read.pk])
    for role in ("site_coordinator", "pharmacist", "monitor", "study_manager", "auditor"):
        assert signed_in(getattr(site, role)).get(own).status_code == 403
    assert signed_in(site.investigator).get(central).status_code == 403
    assert (
        signed_in(site.investigator)
        .get(reverse("correct", args=["central-read", read.pk]))
        .status_code
        == 404
    )
    typed = {
        "assessed_on": today().isoformat(),
        "response": "PD",
        "read_on": today().isoformat(),
        "why": "The reader sent a new form",
    }
    manager = signed_in(site.study_manager)
    assert central in facts(manager, subject)
    assert own not in facts(manager, subject)
    assert sign_page(manager, site.study_manager, central, typed).status_code == 302
    assert subject.reads.get().response == "PD"
    elsewhere = a_randomized_subject(site.there)
    there = reverse("correct", args=["screening", elsewhere.pk])
    assert signed_in(site.investigator).get(there).status_code == 404


def test_bad_input_keeps_what_was_typed_and_changes_nothing(site, subject, signed_in):
    contact = record_contact(subject, by=TESTER, on=today())
    browser = signed_in(site.investigator)
    address = reverse("correct", args=["contact", contact.pk])
    tomorrow = (today() + timedelta(days=1)).isoformat()
    answer = sign_page(
        browser, site.investigator, address, {"contact_on": tomorrow, "why": "Phone list"}
    )
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "This day is in the future." in page
    assert "Phone list" in page
    assert tomorrow in page
    wrong = sign_page(
        browser, site.investigator, address, {"in_error": "on", "why": "x"}, password="guess"
    )
    assert wrong.status_code == 422
    typed = {"in_error": "on", "why": "x", **components(site.investigator, browser.get(address))}
    subject.contacts.update(contact_on=subject.consent_on)
    assert browser.post(address, typed).status_code == 409, "the record is not the one shown"
    assert subject.contacts.get().in_error is False
    assert not Correction.objects.exists()


def test_the_page_asks_the_same_number_of_questions_however_much_is_recorded(
    site, subject, signed_in
):
    browser = signed_in(site.investigator)
    address = reverse("facts", args=[subject.pk])
    record = Contact.objects.create
    record(subject=subject, contact_on=today(), recorded_by="A")
    few = len(queries_of(browser, address))
    for days in range(1, 6):
        on = today() - timedelta(days=days)
        record(subject=subject, contact_on=on, recorded_by="A")
        TumourRead.objects.create(
            subject=subject, reader="central", assessed_on=on, response="SD", read_on=on
        )
    assert len(queries_of(browser, address)) == few
