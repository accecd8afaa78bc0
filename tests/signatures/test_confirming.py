"""What an EDC system recorded is confirmed by an investigator of the centre, with a signature."""

import uuid

import pytest
from django.db import IntegrityError, ProgrammingError, transaction
from django.urls import reverse

from dispensing.doses import confirm_reduction, reduce_dose
from dispensing.models import DoseReduction
from dispensing.records import reduction_record
from enrolment.models import Subject
from iwrs import clock
from iwrs.problems import Problem
from iwrs.signatures import Signature
from iwrs.signatures.models import SignedRecord
from randomization.models import Randomization
from tests.api.client import Edc
from tests.factories import INVESTIGATOR, TESTER, a_centre, a_randomized_subject, a_subject, a_user
from tests.queries import queries_of
from tests.signing import components, sign_page
from trial.confirming import confirm_randomization, randomized_record
from trial.late import late_record

pytestmark = pytest.mark.django_db
WAITS = "Recorded by EDC client Rave; not yet confirmed by an investigator."
SIGNATURE = Signature("Investigator", clock.now(), "I confirm it")


@pytest.fixture
def edc(site) -> Edc:
    return Edc(site.study)


def a_reported_subject(edc: Edc, centre) -> Subject:
    """A subject whom an EDC system randomized."""
    subject = a_subject(centre)
    assert edc.randomize(subject.number).status_code == 201
    subject.refresh_from_db()
    return subject


def a_reported_reduction(edc: Edc, subject: Subject) -> DoseReduction:
    today = clock.today(subject.centre.time_zone).isoformat()
    body = {"level": "5mg", "on": today, "reason": "Stomatitis grade 3"}
    answer = edc.post(f"subjects/{subject.number}/dose-reductions", body, key=uuid.uuid4().hex)
    assert answer.status_code == 201
    return subject.dose_reductions.get()


@pytest.fixture
def subject(site, edc) -> Subject:
    return a_reported_subject(edc, site.here)


@pytest.fixture
def reduction(edc, subject) -> DoseReduction:
    return a_reported_reduction(edc, subject)


@pytest.fixture
def investigator(site, signed_in):
    return signed_in(site.investigator)


def address_of(row: Subject | DoseReduction) -> str:
    if isinstance(row, Subject):
        return reverse("confirm-randomization", args=[row.pk])
    return reverse("confirm-reduction", args=[row.subject_id, row.level])


def page_of(browser, subject: Subject) -> str:
    return browser.get(reverse("subject", args=[subject.pk])).content.decode()


@pytest.fixture(params=["randomization", "reduction"])
def waiting(request, subject) -> Subject | DoseReduction:
    """Each of the two records that wait, in turn."""
    return subject if request.param == "randomization" else request.getfixturevalue("reduction")


@pytest.mark.requirement("REQ-037", "REQ-038")
def test_a_randomization_waits_until_an_investigator_confirms_it(site, subject, investigator):
    assert WAITS in page_of(investigator, subject)
    made = Randomization.objects.get(subject=subject)
    page = investigator.get(address_of(subject)).content.decode()
    assert f"{made.number[:4]} {made.number[4:]}" in page
    assert "EDC client Rave" in page
    assert site.study.definition.factors[0].question in page
    assert sign_page(investigator, site.investigator, address_of(subject)).status_code == 302
    kept = SignedRecord.objects.get()
    assert (kept.record_kind, kept.record_pk, kept.role) == (
        "randomization",
        subject.pk,
        "investigator",
    )
    assert kept.sha256 == randomized_record(subject).sha256
    assert f'"number":"{made.number}"' in kept.canonical
    assert '"recorded by":"EDC client Rave"' in kept.canonical
    page = page_of(investigator, subject)
    assert "not yet confirmed" not in page
    assert f"Signed by {site.investigator.name}, Investigator: I confirm that this" in page
    assert "Signed version differs" not in page
    trail = investigator.get(reverse("subject-audit", args=[subject.pk])).content.decode()
    assert "confirm randomization" in trail
    assert "confirmed by signature at" in trail
    assert "I confirm that this randomization was made as recorded" in trail


@pytest.mark.requirement("REQ-005", "REQ-037", "REQ-038")
def test_a_dose_reduction_waits_until_an_investigator_confirms_it(
    site, reduction, investigator, signed_in
):
    subject = reduction.subject
    page = investigator.get(address_of(reduction)).content.decode()
    for text in ("5 mg", "Stomatitis grade 3", "EDC client Rave"):
        assert text in page
    assert page_of(investigator, subject).count(WAITS) == 2
    assert sign_page(investigator, site.investigator, address_of(reduction)).status_code == 302
    kept = SignedRecord.objects.get()
    assert (kept.record_kind, kept.record_pk) == ("dose reduction", reduction.pk)
    assert kept.sha256 == reduction_record(reduction).sha256
    page = page_of(signed_in(site.monitor), subject)
    assert page.count(WAITS) == 1  # the randomization
    assert "I confirm this dose reduction." in page
    trail = investigator.get(reverse("subject-audit", args=[subject.pk])).content.decode()
    assert "confirm dose reduction" in trail


@pytest.mark.requirement("REQ-037")
def test_a_randomization_of_an_outage_is_confirmed_as_it_was_entered(site, edc, investigator):
    subject = a_subject(site.here)
    body = {"occurred_at": clock.now().isoformat(), "late_reason": "The line was down"}
    address = f"subjects/{subject.number}/randomization"
    assert edc.post(address, body, key="late").status_code == 201
    assert "The line was down" in investigator.get(address_of(subject)).content.decode()
    assert sign_page(investigator, site.investigator, address_of(subject)).status_code == 302
    kept = SignedRecord.objects.get()
    entry = Randomization.objects.get(subject=subject).late_entry
    assert kept.sha256 == late_record(entry).sha256
    assert "I confirm that this randomization was made as recorded." in page_of(
        investigator, subject
    )


@pytest.mark.requirement("REQ-011")
def test_others_see_the_state_and_only_an_investigator_confirms(site, waiting, edc, signed_in):
    subject = waiting if isinstance(waiting, Subject) else waiting.subject
    for role in ("site_coordinator", "pharmacist", "monitor", "study_manager", "auditor"):
        browser = signed_in(getattr(site, role))
        page = page_of(browser, subject)
        assert WAITS in page
        assert "Confirm with a signature" not in page
        assert browser.get(address_of(waiting)).status_code == 403
        assert browser.post(address_of(waiting), {}).status_code == 403
    assert "Confirm with a signature" in page_of(signed_in(site.investigator), subject)
    elsewhere = a_user("investigator", centre=site.there)
    assert signed_in(elsewhere).get(address_of(waiting)).status_code == 404
    assert sign_page(signed_in(elsewhere), elsewhere, address_of(waiting)).status_code == 404
    assert not SignedRecord.objects.exists()


@pytest.mark.requirement("REQ-040")
def test_a_wrong_password_loses_nothing(site, waiting, investigator):
    wrong = sign_page(investigator, site.investigator, address_of(waiting), password="guess")
    assert wrong.status_code == 422
    assert "This is not your e-mail address and your password." in wrong.content.decode()
    assert "EDC client Rave" in wrong.content.decode()
    assert not SignedRecord.objects.exists()
    assert sign_page(investigator, site.investigator, address_of(waiting)).status_code == 302


@pytest.mark.requirement("REQ-038")
def test_a_record_that_changed_after_it_was_shown_is_not_confirmed(site, waiting, investigator):
    typed = components(site.investigator, investigator.get(address_of(waiting)))
    if isinstance(waiting, Subject):
        Subject.objects.filter(pk=waiting.pk).update(baseline={**waiting.baseline, "age": "77"})
    else:
        DoseReduction.objects.filter(pk=waiting.pk).update(reason="Rash")
    answer = investigator.post(address_of(waiting), typed)
    assert answer.status_code == 409
    assert "The record changed after you opened this page." in answer.content.decode()
    assert not SignedRecord.objects.exists()


def test_it_is_confirmed_once(site, waiting, investigator):
    typed = components(site.investigator, investigator.get(address_of(waiting)))
    assert investigator.post(address_of(waiting), typed).status_code == 302
    again = investigator.post(address_of(waiting), typed)
    assert again.status_code == 409
    assert "An investigator has confirmed this already." in again.content.decode()
    assert investigator.get(address_of(waiting)).status_code == 302
    assert SignedRecord.objects.count() == 1


@pytest.mark.requirement("REQ-038")
def test_a_correction_afterwards_shows_beside_the_signature(site, waiting, investigator):
    sign_page(investigator, site.investigator, address_of(waiting))
    subject, today = waiting, clock.today("Europe/Paris").isoformat()
    if isinstance(waiting, Subject):
        fact, pk = "screening", waiting.pk
        typed = {"consent_on": waiting.consent_on.isoformat(), "baseline.age": "77"}
        typed |= {f"baseline.{k}": v for k, v in waiting.baseline.items() if k != "age"}
    else:
        fact, pk, subject = "reduction", waiting.pk, waiting.subject
        typed = {"reduced_on": today, "reason": "Rash"}
    address = reverse("correct", args=[fact, pk])
    answer = sign_page(investigator, site.investigator, address, typed | {"why": "Misread"})
    assert answer.status_code == 302
    assert page_of(investigator, subject).count("Signed version differs") == 1


def test_what_a_person_recorded_on_the_portal_never_waits(site, signed_in, investigator):
    subject = a_randomized_subject(site.here)
    on = clock.today("Europe/Paris")
    made = reduce_dose(subject, "5mg", by=TESTER, on=on, reason="Rash")
    assert "not yet confirmed" not in page_of(investigator, subject)
    for each in (subject, made, a_subject(site.here)):
        assert investigator.get(address_of(each)).status_code == 404
    for refused in (
        lambda: confirm_randomization(subject, by=INVESTIGATOR, signature=SIGNATURE),
        lambda: confirm_reduction(made, by=INVESTIGATOR, signature=SIGNATURE),
    ):
        with pytest.raises(Problem) as problem:
            refused()
        assert problem.value.code == "not_reported"
    for rows in (Randomization.objects.all(), DoseReduction.objects.all()):
        with pytest.raises(IntegrityError, match="confirmed_if_reported"), transaction.atomic():
            rows.update(confirmed_at=clock.now())


def test_what_was_taken_back_is_not_confirmed(site, reduction, investigator):
    DoseReduction.objects.filter(pk=reduction.pk).update(in_error=True)
    assert investigator.get(address_of(reduction)).status_code == 404
    with pytest.raises(Problem) as problem:
        confirm_reduction(reduction, by=INVESTIGATOR, signature=SIGNATURE)
    assert problem.value.code == "fact_gone"
    assert page_of(investigator, reduction.subject).count(WAITS) == 1  # the randomization


def test_the_database_keeps_when_it_was_confirmed(site, waiting, investigator):
    sign_page(investigator, site.investigator, address_of(waiting))
    rows = Randomization if isinstance(waiting, Subject) else DoseReduction
    for later in (None, clock.now()):
        with pytest.raises(ProgrammingError, match="never changed"), transaction.atomic():
            rows.objects.update(confirmed_at=later)


def test_the_home_page_lists_what_waits_at_the_persons_centres(
    site, reduction, edc, investigator, signed_in
):
    elsewhere = a_reported_subject(edc, site.there)
    page = investigator.get(reverse("home")).content.decode()
    assert "To confirm with a signature" in page
    for waiting in (reduction.subject, reduction):
        assert address_of(waiting) in page
    assert address_of(elsewhere) not in page
    assert b"To confirm" not in signed_in(site.site_coordinator).get(reverse("home")).content
    for waiting in (reduction.subject, reduction):
        sign_page(investigator, site.investigator, address_of(waiting))
    assert b"To confirm" not in investigator.get(reverse("home")).content


def test_the_home_page_asks_as_often_however_much_waits(site, reduction, edc, signed_in):
    person = a_user("investigator", centre=site.here)
    before = len(queries_of(signed_in(person), reverse("home")))
    for centre in (site.here, site.here, a_centre(site.study)):
        subject = a_reported_subject(edc, centre)
        a_reported_reduction(edc, subject)
    after = len(queries_of(signed_in(person), reverse("home")))
    assert after == before


def test_the_list_of_subjects_shows_a_monitor_what_is_not_confirmed(
    site, reduction, edc, signed_in, investigator
):
    quiet = a_reported_subject(edc, site.there)
    asked = reverse("subjects") + "?status=unconfirmed"
    monitor = signed_in(site.monitor)
    subject = reduction.subject
    assert subject.number in monitor.get(asked).content.decode()
    assert quiet.number not in monitor.get(asked).content.decode(), "of another centre"
    for row in (subject, reduction):
        assert subject.number in monitor.get(asked).content.decode()
        sign_page(investigator, site.investigator, address_of(row))
    assert subject.number not in monitor.get(asked).content.decode()
