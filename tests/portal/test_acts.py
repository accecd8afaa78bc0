"""Every act of the portal, as a browser without JavaScript sends it."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse

from assessments.models import SubjectEvent, TumourRead
from dispensing.models import Dispensation
from enrolment.models import Subject
from iwrs import clock
from iwrs.signatures.models import SignedRecord
from tests.factories import (
    a_centre,
    a_randomized_subject,
    a_subject,
    a_user,
    baseline_values,
    passing_answers,
)
from tests.signing import sign_page


def day(days=0):
    return (clock.today("Europe/Paris") + timedelta(days=days)).isoformat()


def screening_form(study, **changes):
    definition = study.definition
    typed = {"consent_on": day(-1)}
    typed |= {f"strata.{each.key}": each.levels[0].key for each in definition.factors}
    typed |= {f"eligibility.{key}": value for key, value in passing_answers(definition).items()}
    typed |= {f"baseline.{key}": value for key, value in baseline_values(definition).items()}
    return typed | changes


def once(page):
    return re.search(r'name="once" value="([0-9a-f-]{36})"', page.content.decode()).group(1)


@pytest.fixture
def coordinator(site, signed_in):
    return signed_in(site.site_coordinator)


def test_screening_registers_one_subject_even_when_sent_twice(site, coordinator):
    address = reverse("screen", args=[site.here.pk])
    typed = screening_form(site.study, once=once(coordinator.get(address)))
    first = coordinator.post(address, typed)
    again = coordinator.post(address, typed, follow=True)
    subject = Subject.objects.get()
    assert subject.status == "eligible"
    assert first.url == reverse("subject", args=[subject.pk])
    assert b"This page was sent before." in again.content
    other = coordinator.post(address, typed | {"baseline.age": "71"})
    assert other.status_code == 409
    assert subject.number in other.content.decode()
    assert Subject.objects.count() == 1


def test_screening_keeps_what_was_typed_and_links_each_error_to_its_field(site, coordinator):
    address = reverse("screen", args=[site.here.pk])
    typed = screening_form(
        site.study, once=once(coordinator.get(address)), consent_on="", **{"baseline.age": "7"}
    )
    answer = coordinator.post(address, typed)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert not Subject.objects.exists()
    assert "<title>Error: " in page
    assert (
        '<a href="#id_consent_on">Day on which the subject signed the consent: Give the day' in page
    )
    assert '<a href="#id_baseline.age">Age (years): Give a number from 18 to 120.</a>' in page
    assert 'aria-describedby="id_baseline.age_error"' in page
    assert 'value="7"' in page
    assert 'name="strata.visceral" value="yes" id="id_strata.visceral_0" checked' in page


def test_a_suspended_centre_screens_nobody(site, coordinator, signed_in):
    manager = signed_in(site.study_manager)
    manager.post(reverse("suspend-centre", args=[site.here.pk]), {"why": "Audit finding"})
    address = reverse("screen", args=[site.here.pk])
    typed = screening_form(site.study, once=once(coordinator.get(address)))
    answer = coordinator.post(address, typed)
    assert answer.status_code == 409
    assert f"Centre {site.here.number} is not active." in answer.content.decode()
    activate = reverse("activate-centre", args=[site.here.pk])
    sign_page(manager, site.study_manager, activate, {"ethics_approved_on": day(-10)})
    assert coordinator.post(address, typed).status_code == 302


@pytest.mark.requirement("REQ-066")
def test_a_centre_without_approval_is_not_activated(site, signed_in):
    planned = a_centre(site.study, active=False, cover=0)
    manager = signed_in(site.study_manager)
    address = reverse("activate-centre", args=[planned.pk])
    answer = sign_page(manager, site.study_manager, address, {"ethics_approved_on": day(3)})
    assert answer.status_code == 422
    assert b"This day is in the future." in answer.content
    planned.refresh_from_db()
    assert planned.status == "planned"


@pytest.mark.requirement("REQ-034")
def test_answers_are_changed_with_a_reason(site, coordinator):
    subject = a_subject(site.here, eligible=False)
    address = reverse("change-answers", args=[subject.pk])
    page = coordinator.get(address).content.decode()
    assert f'value="{subject.consent_on.isoformat()}"' in page
    typed = screening_form(site.study)
    assert coordinator.post(address, typed).status_code == 422  # no reason given
    answer = coordinator.post(address, typed | {"why": "Laboratory result came"})
    assert answer.status_code == 302
    subject.refresh_from_db()
    assert subject.status == "eligible"
    assert not SignedRecord.objects.exists()  # the signature comes with the randomization


def test_screen_failure(site, coordinator):
    subject = a_subject(site.here)
    address = reverse("screen-failure", args=[subject.pk])
    assert coordinator.post(address, {"reason": ""}).status_code == 422
    coordinator.post(address, {"reason": "Subject changed her mind"})
    subject.refresh_from_db()
    assert (subject.status, subject.failure_reason) == (
        "screen_failed",
        "Subject changed her mind",
    )
    again = coordinator.post(address, {"reason": "Twice"})
    assert again.status_code == 409


@pytest.mark.requirement("REQ-041")
def test_deviation_is_asked_by_one_person_and_signed_by_another(site, coordinator, signed_in):
    answers = passing_answers(site.study.definition) | {"her2_negative": "unknown"}
    subject = a_subject(site.here, eligibility=answers)
    ask = reverse("ask-deviation", args=[subject.pk])
    assert b"Is HER2 not amplified?" in coordinator.get(ask).content
    coordinator.post(ask, {"question": "her2_negative", "reason": "Tissue was used up"})
    deviation = subject.deviations.get()
    approve = reverse("approve-deviation", args=[deviation.pk])
    assert coordinator.get(approve).status_code == 403
    manager = signed_in(site.study_manager)
    assert b"Tissue was used up" in manager.get(approve).content
    assert approve in manager.get(reverse("home")).content.decode()
    wrong = sign_page(manager, site.study_manager, approve, password="not this one")
    assert wrong.status_code == 422
    assert b"This is not your e-mail address and your password." in wrong.content
    assert b"not this one" not in wrong.content
    sign_page(manager, site.study_manager, approve)
    subject.refresh_from_db()
    deviation.refresh_from_db()
    assert (subject.status, deviation.approved_by) == ("eligible", str(site.study_manager))


def test_randomize_checks_answers_then_confirms_and_repeats_the_first_answer(site, coordinator):
    subject = a_subject(site.here)
    address = reverse("randomize", args=[subject.pk])
    check = coordinator.get(address).content.decode()
    assert f"Sign and randomize subject {subject.number}" in check
    assert "Visceral metastasis present?" in check
    sent = sign_page(coordinator, site.site_coordinator, address)
    first = coordinator.get(sent.url)
    again = coordinator.post(address, follow=True)
    subject.refresh_from_db()
    kit = subject.dispensations.get(number=0).kit
    for answer in (first, again):
        page = answer.content.decode()
        assert kit.grouped in page
        number = subject.randomization.number
        assert f"{number[:4]} {number[4:]}" in page
        assert f"{kit.lot.expires_on:%-d %B %Y}" in page
        assert f"{subject.visits.first().due_on:%-d %B %Y}" in page
    assert b"Here is the first answer" not in first.content
    assert b"Here is the first answer" in again.content
    assert subject.study.randomizations.count() == 1
    assert coordinator.get(address).url == reverse("randomized", args=[subject.pk])


def test_a_subject_who_is_not_eligible_is_told_why(site, coordinator):
    subject = a_subject(site.here, eligible=False)
    address = reverse("randomize", args=[subject.pk])
    page = coordinator.get(address).content.decode()
    assert "more than one line of chemotherapy" in page
    assert "randomize subject" not in page
    answer = coordinator.post(address)
    assert answer.status_code == 409
    assert not site.study.randomizations.exists()


@pytest.mark.requirement("REQ-054")
def test_no_kit_is_one_refusal_and_changes_nothing(site, signed_in):
    bare = a_centre(site.study, cover=0)
    subject = a_subject(bare)
    investigator = a_user("investigator", centre=bare)
    address = reverse("randomize", args=[subject.pk])
    answer = sign_page(signed_in(investigator), investigator, address)
    assert answer.status_code == 409
    assert b"No kit can be assigned at this centre now." in answer.content
    subject.refresh_from_db()
    assert subject.status == "eligible"


@pytest.mark.requirement("REQ-036")
def test_hand_over_and_first_dose(site, signed_in):
    pharmacist = signed_in(site.pharmacist)
    subject = a_randomized_subject(site.here)
    first = subject.dispensations.get(number=0)
    dose = reverse("first-dose", args=[subject.pk])
    assert pharmacist.post(dose, {"on": day()}).status_code == 409  # nothing handed over
    address = reverse("hand-over", args=[first.pk])
    assert first.kit.grouped in pharmacist.get(address).content.decode()
    assert pharmacist.post(address, {"on": day(2)}).status_code == 422
    pharmacist.post(address, {"on": day()})
    first.refresh_from_db()
    assert first.status == Dispensation.Status.HANDED_OVER
    assert pharmacist.post(dose, {"on": day()}).status_code == 302
    assert subject.first_doses.get().taken_on.isoformat() == day()


@pytest.mark.requirement("REQ-036")
def test_a_kit_is_not_assigned_too_early(site, coordinator):
    subject = a_randomized_subject(site.here)
    later = subject.dispensations.get(number=1)
    answer = coordinator.post(reverse("assign-kit", args=[later.pk]))
    assert answer.status_code == 409
    assert b"This dispensation is not due yet." in answer.content


@pytest.mark.requirement("REQ-007")
def test_visits_events_and_stops(site, coordinator, signed_in):
    with clock.at(clock.now() - timedelta(days=90)):
        subject = a_randomized_subject(site.here, consent_on=clock.today() - timedelta(days=1))
    one, two = subject.visits.all()[:2]
    record = reverse("record-visit", args=[one.pk])
    assert coordinator.post(record, {"on": "11/02/2011"}).status_code == 422
    typed = {"on": day(-48), "local_response": "SD", "ecog": "1", "quality_of_life": "66.67"}
    assert coordinator.post(record, typed).status_code == 302
    one.refresh_from_db()
    assert (one.status, one.ecog, one.reads.get().response) == ("done", 1, "SD")
    assert coordinator.post(record, typed).status_code == 409
    miss = reverse("miss-visit", args=[two.pk])
    assert coordinator.post(miss, {"why": "In hospital elsewhere"}).status_code == 302
    stop = reverse("stop-drug", args=[subject.pk, "study_drug"])
    assert coordinator.post(stop, {"on": day(-3), "reason": "bad mood"}).status_code == 422
    assert coordinator.post(stop, {"on": day(-3), "reason": "adverse_event"}).status_code == 302
    unknown = reverse("stop-drug", args=[subject.pk, "aspirin"])
    assert coordinator.get(unknown).status_code == 404
    assert (
        coordinator.post(reverse("contact", args=[subject.pk]), {"on": day(-2)}).status_code == 302
    )
    read = reverse("central-read", args=[subject.pk])
    assert coordinator.get(read).status_code == 403
    typed = {"assessed_on": day(-48), "response": "PR", "read_on": day(-40)}
    assert signed_in(site.study_manager).post(read, typed).status_code == 302
    assert subject.reads.get(reader=TumourRead.Reader.CENTRAL).visit == one
    for kind in ("new_therapy", "withdrawal", "death"):
        address = reverse("event", args=[subject.pk, kind])
        assert coordinator.post(address, {"on": day(-1)}).status_code == 302
    assert subject.events.filter(kind=SubjectEvent.Kind.DEATH).exists()
    assert coordinator.get(reverse("event", args=[subject.pk, "birthday"])).status_code == 404
    page = coordinator.get(reverse("subject", args=[subject.pk])).content.decode()
    for line in ("Visit 1 done", "Visit 2 missed", "stopped: Adverse event", "Death", "Central"):
        assert line in page


@pytest.mark.requirement("REQ-068")
def test_one_stop_is_not_the_other(site, coordinator):
    subject = a_randomized_subject(site.here)
    coordinator.post(
        reverse("stop-drug", args=[subject.pk, "exemestane"]), {"on": day(), "reason": "other"}
    )
    assert subject.drug_stops.get().drug == "exemestane"
    page = coordinator.get(reverse("subject", args=[subject.pk])).content.decode()
    assert "Stop Everolimus 5 mg or placebo" in page
    assert "Stop Exemestane" not in page
    assert subject.visits.filter(status="planned").exists()
