"""What a confirmation signs is what its page shows, and what was signed before stays as it was."""

import re
import threading
from contextlib import suppress

import pytest
from django.db import connection, transaction
from django.urls import reverse

import trial.confirming
from dispensing.doses import confirm_reduction, reduce_dose
from dispensing.models import DoseReduction
from dispensing.records import reduction_record
from enrolment.models import Subject
from enrolment.people import Person, add_to_centre
from enrolment.records import screening_record
from iwrs import clock, studies
from iwrs.accounts.models import Role, User
from iwrs.definition import parse_definition
from iwrs.models import Study
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Signature
from iwrs.signatures.models import SignedRecord
from iwrs.signatures.services import keep
from randomization.models import Randomization
from tests.api.client import Edc
from tests.factories import (
    INVESTIGATOR,
    TESTER,
    a_centre,
    a_randomized_subject,
    a_study,
    a_subject,
    a_user,
)
from tests.signatures.test_confirming import a_reported_reduction, a_reported_subject, address_of
from tests.signing import sign_page
from trial.confirming import confirm_randomization, randomized_record
from trial.invariants import contradictions
from trial.late import Late, late_record
from trial.services import randomize

SECONDS = 60


@pytest.fixture
def edc(site) -> Edc:
    return Edc(site.study)


@pytest.fixture
def investigator(site, signed_in):
    return signed_in(site.investigator)


def page_of(browser, subject: Subject) -> str:
    return browser.get(reverse("subject", args=[subject.pk])).content.decode()


@pytest.mark.requirement("REQ-038")
def test_what_was_signed_on_the_portal_keeps_its_text(site):
    """The facts of each kind as they were signed before there were confirmations: one fact more,
    and every older signature would be shown as one of another version.
    """
    subject = a_randomized_subject(site.here)
    assert randomized_record(subject).canonical == screening_record(subject).canonical
    assert set(randomized_record(subject).facts) == {
        "centre", "subject", "consent signed on", "strata", "eligibility", "baseline",
    }  # fmt: skip
    on = clock.today(subject.centre.time_zone)
    reduction = reduce_dose(subject, "5mg", by=TESTER, on=on, reason="Rash")
    assert reduction_record(reduction).canonical == (
        f'{{"facts":{{"drug":"study_drug","level":"5mg","reason":"Rash","reduced on":"{on}",'
        f'"subject":"{subject.number}"}},"id":{reduction.pk},"kind":"dose reduction","version":1}}'
    )
    late = a_subject(site.here)
    made = randomize(late, by=TESTER, late=Late(clock.now(), "The line was down")).randomization
    assert set(late_record(made.late_entry).facts) == {
        *screening_record(late).facts, "number", "randomized at", "reason", "kit by the paper",
        "kit differs",
    }  # fmt: skip


@pytest.mark.requirement("REQ-038")
def test_who_recorded_it_and_when_is_signed_as_the_page_shows_it(site, edc, investigator):
    subject = a_reported_subject(edc, site.here)
    reduction = a_reported_reduction(edc, subject)
    late = a_subject(site.here)
    body = {"occurred_at": clock.now().isoformat(), "late_reason": "The line was down"}
    assert edc.post(f"subjects/{late.number}/randomization", body, key="late").status_code == 201
    entered_at = Randomization.objects.get(subject=late).late_entry.entered_at
    for each, moment in ((reduction, f'"recorded at":"{reduction.recorded_at.isoformat()}"'),
                         (late, f'"entered at":"{entered_at.isoformat()}"')):  # fmt: skip
        assert "EDC client Rave" in investigator.get(address_of(each)).content.decode()
        assert sign_page(investigator, site.investigator, address_of(each)).status_code == 302
        kept = SignedRecord.objects.latest("pk")
        assert '"recorded by":"EDC client Rave"' in kept.canonical
        assert moment in kept.canonical
    assert "Signed version differs" not in page_of(investigator, subject)
    assert "Signed version differs" not in page_of(investigator, late)
    assert contradictions() == []


@pytest.mark.requirement("REQ-037")
def test_what_is_marked_as_confirmed_without_a_signature_is_found(site, edc):
    """The web process may write the moment; without a signature it is a contradiction."""
    subject = a_reported_subject(edc, site.here)
    reduction = a_reported_reduction(edc, subject)
    assert contradictions() == []
    for rows in (Randomization.objects.all(), DoseReduction.objects.all()):
        with transaction.atomic():
            assert rows.update(confirmed_at=clock.now()) == 1
            [found] = contradictions()
            assert "is confirmed exactly if somebody signed it" in found
            assert subject.number in found
            transaction.set_rollback(True)
    for record in (randomized_record(subject), reduction_record(reduction)):
        with transaction.atomic():
            signature = signature_of(site.investigator, subject)
            assert keep(signature, record, study=site.study)
            assert len(contradictions()) == 1
            transaction.set_rollback(True)


@pytest.mark.django_db
@pytest.mark.requirement("REQ-037")
def test_nobody_is_called_like_an_edc_system(site):
    """What such a person records would look as if no person had signed it."""
    for name in ("EDC client Rave", " edc  CLIENT x"):
        with pytest.raises(Invalid) as problem:
            add_to_centre(site.here, Person("x@example.org", name), Role.INVESTIGATOR, by=TESTER)
        assert "EDC client" in problem.value.errors["name"]
    assert not User.objects.filter(email="x@example.org").exists()
    add_to_centre(site.here, Person("x@example.org", "Ed Client"), Role.INVESTIGATOR, by=TESTER)


def test_a_level_that_a_later_study_file_dropped_is_confirmed(site, edc, investigator):
    subject = a_reported_subject(edc, site.here)
    reduction = a_reported_reduction(edc, subject)
    text = site.study.version.source
    begin, end = text.index('[[dose_levels]]\nkey = "5mg"'), text.index('key = "5mg_alternate"')
    text = text[:begin] + "[[dose_levels]]\n" + text[end:].replace("order = 3", "order = 2", 1)
    studies.load(parse_definition(text, source="later"), by=TESTER, list_exists=lambda study: True)
    assert "5mg" in investigator.get(address_of(reduction)).content.decode()
    assert investigator.get(reverse("facts", args=[subject.pk])).status_code == 200
    assert sign_page(investigator, site.investigator, address_of(reduction)).status_code == 302


def test_an_answer_that_a_later_study_file_does_not_ask_for_is_shown(site, edc, investigator):
    """It is in the record, so whoever signs has to see it."""
    subject = a_reported_subject(edc, site.here)
    criterion, item = site.study.definition.eligibility[-1], site.study.definition.baseline[-1]
    Subject.objects.filter(pk=subject.pk).update(baseline={**subject.baseline, item.key: "8"})
    text = site.study.version.source
    for table, key in (("eligibility", criterion.key), ("baseline", item.key)):
        text = re.sub(rf'\[\[{table}\]\]\nkey = "{key}"\n(?:(?!\[).*\n)*', "", text)
    studies.load(parse_definition(text, source="later"), by=TESTER, list_exists=lambda study: True)
    page = investigator.get(address_of(subject)).content.decode()
    assert criterion.question not in page
    assert f"<dt>{criterion.key}</dt><dd>{'Yes' if criterion.kind == 'include' else 'No'}" in page
    assert f"<dt>{item.key}</dt><dd>8</dd>" in page


def test_the_home_page_of_many_lists_the_oldest(site, edc, investigator, monkeypatch):
    monkeypatch.setattr("trial.worklist.MOST_UNCONFIRMED", 1)
    first, second = (a_reported_subject(edc, site.here) for _ in range(2))
    page = investigator.get(reverse("home")).content.decode()
    assert address_of(first) in page
    assert address_of(second) not in page
    assert "and 1 more wait" in page


def confirm_at_once(record, how, people: list[User], *, patience: float) -> list[object]:
    """Each person confirms in a connection of the own, held open after reading the record for so
    many seconds or until the other one has read it too.
    """
    found: list[object] = []
    both_read = threading.Barrier(len(people), timeout=patience)
    real = trial.confirming.require_waiting

    def slowly(*arguments):
        real(*arguments)
        with suppress(threading.BrokenBarrierError):  # the lock kept the other one waiting
            both_read.wait()

    def one(person: User) -> None:
        try:
            how(record, by=INVESTIGATOR, signature=signature_of(person, record))
            found.append("confirmed")
        except Problem as problem:
            found.append(problem.code)
        except Exception as error:
            found.append(type(error).__name__)
        finally:
            connection.close()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("trial.confirming.require_waiting", slowly)
        patched.setattr("dispensing.doses.require_waiting", slowly)
        threads = [threading.Thread(target=one, args=[each]) for each in people]
        for each in threads:
            each.start()
        for each in threads:
            each.join(SECONDS)
    return sorted(found, key=str)


def signature_of(person: User, record: Subject | DoseReduction) -> Signature:
    shown = randomized_record if isinstance(record, Subject) else reduction_record
    return Signature(
        str(person), clock.now(), "I confirm it", person.pk, person.name, "investigator",
        shown(record).sha256,
    )  # fmt: skip


def reported_twice(study: Study) -> tuple[list[tuple[object, object]], list[User]]:
    centre = a_centre(study)
    edc = Edc(study)
    subject = a_reported_subject(edc, centre)
    reduction = a_reported_reduction(edc, subject)
    people = [a_user(Role.INVESTIGATOR, centre=centre) for _ in range(2)]
    return [(subject, confirm_randomization), (reduction, confirm_reduction)], people


@pytest.mark.requirement("REQ-037")
def test_two_investigators_at_once_sign_once(committed_db):
    waiting, people = reported_twice(a_study())
    for record, how in waiting:
        found = confirm_at_once(record, how, people, patience=1)
        assert found == ["already_confirmed", "confirmed"]
    assert SignedRecord.objects.count() == len(waiting)
    assert contradictions() == []


def test_without_the_lock_the_database_refuses_the_second(committed_db, monkeypatch):
    waiting, people = reported_twice(a_study())
    for at in ("trial.confirming.lock", "dispensing.doses.lock"):
        monkeypatch.setattr(at, lambda rows, pk: rows.get(pk=pk))
    for record, how in waiting:
        found = confirm_at_once(record, how, people, patience=SECONDS)
        assert found == ["ProgrammingError", "confirmed"]
    assert SignedRecord.objects.count() == len(waiting)
