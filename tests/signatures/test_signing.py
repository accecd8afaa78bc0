"""Signing on the portal: two components, the record that was shown, and what is kept of it."""

from datetime import UTC, date, datetime, timedelta
from html import unescape
from zoneinfo import ZoneInfo

import pytest
from django.core import mail
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from assessments.corrections.services import correction_record
from dispensing.records import reduction_record
from enrolment.records import screening_record
from enrolment.services import change_answers
from iwrs import clock, outbox
from iwrs.signatures.models import SignedRecord, SigningState
from iwrs.signatures.services import signatures_of
from tests.factories import (
    TESTER,
    a_centre,
    a_drill,
    a_randomized_subject,
    a_subject,
    a_user,
    screening,
)
from tests.signing import components, sign_page
from trial.services import randomize

pytestmark = pytest.mark.django_db


@pytest.fixture
def subject(site):
    return a_subject(site.here)


@pytest.fixture
def investigator(site, signed_in):
    return signed_in(site.investigator)


@pytest.mark.requirement("REQ-037", "REQ-038")
def test_randomization_keeps_who_in_which_role_when_and_what(site, subject, investigator):
    before = datetime.now(UTC)
    address = reverse("randomize", args=[subject.pk])
    assert sign_page(investigator, site.investigator, address).status_code == 302
    [kept] = SignedRecord.objects.all()
    assert (kept.user, kept.printed_name) == (site.investigator, site.investigator.name)
    assert (kept.role, kept.time_zone) == ("investigator", "Europe/Paris")
    assert kept.meaning == "I checked these answers and randomize this subject"
    subject.refresh_from_db()
    assert kept.sha256 == screening_record(subject).sha256
    assert before - timedelta(seconds=5) < kept.signed_at < datetime.now(UTC) + timedelta(seconds=5)
    page = investigator.get(reverse("subject", args=[subject.pk])).content.decode()
    assert f"Signed by {kept.printed_name}, Investigator: {kept.meaning}." in page
    local, utc = (kept.signed_at.astimezone(ZoneInfo(zone)) for zone in ("Europe/Paris", "UTC"))
    other_day = "" if local.date() == utc.date() else f"{utc:%-d %B %Y}, "
    assert f"{local:%-d %B %Y, %H:%M} (Europe/Paris), {other_day}{utc:%H:%M} UTC" in page
    assert kept.sha256 in page
    assert "Signed version differs" not in page


@pytest.mark.requirement("REQ-040")
@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"password": "a guess of mine"}, "This is not your e-mail address and your password."),
        ({"signer": "another@example.org"}, "This is not your e-mail address and your password."),
        ({"password": ""}, "Type your password."),
        ({"signer": ""}, "Type your e-mail address."),
    ],
)
def test_one_component_is_not_enough(site, subject, investigator, wrong, text):
    address = reverse("randomize", args=[subject.pk])
    answer = sign_page(investigator, site.investigator, address, **wrong)
    assert answer.status_code == 422
    assert text in answer.content.decode()
    assert "a guess of mine" not in answer.content.decode()
    subject.refresh_from_db()
    assert subject.status == "eligible"
    assert not SignedRecord.objects.exists()


@pytest.mark.requirement("REQ-039", "REQ-040")
def test_a_colleagues_components_sign_nothing(site, subject, investigator):
    colleague = a_user("investigator", centre=site.here)
    address = reverse("randomize", args=[subject.pk])
    answer = sign_page(investigator, colleague, address)
    assert answer.status_code == 422
    assert not SignedRecord.objects.exists()


@pytest.mark.requirement("REQ-038")
def test_the_hash_of_what_was_shown_is_kept(site, subject, investigator):
    address = reverse("randomize", args=[subject.pk])
    typed = components(site.investigator, investigator.get(address))
    assert investigator.post(address, typed).status_code == 302
    kept = SignedRecord.objects.get()
    assert kept.shown_sha256 == typed["shown"]
    kept.pk, kept.shown_sha256 = None, "what I like"
    with pytest.raises(IntegrityError, match="true to its record"), transaction.atomic():
        kept.save(force_insert=True)


@pytest.mark.requirement("REQ-038")
def test_a_record_that_changed_after_it_was_shown_is_not_signed(site, subject, investigator):
    address = reverse("randomize", args=[subject.pk])
    typed = components(site.investigator, investigator.get(address))
    other = {f.key: f.levels[-1].key for f in site.study.definition.factors}
    change_answers(subject, screening(site.study, strata=other), by=TESTER, why="CT read again")
    answer = investigator.post(address, typed)
    page = answer.content.decode()
    assert answer.status_code == 409
    assert "The record changed after you opened this page." in page
    assert typed["shown"] not in page
    subject.refresh_from_db()
    assert (subject.status, subject.randomized_at) == ("eligible", None)
    assert not SignedRecord.objects.exists()
    # The page that says so shows the record as it is now, and can be signed.
    assert investigator.post(address, components(site.investigator, answer)).status_code == 302
    assert SignedRecord.objects.get().sha256 == screening_record(subject).sha256


@pytest.mark.requirement("REQ-038")
@pytest.mark.parametrize("shown", ["", "0" * 64, "' OR 1=1"])
def test_a_page_that_does_not_say_what_it_showed_is_not_signed(site, subject, investigator, shown):
    address = reverse("randomize", args=[subject.pk])
    assert sign_page(investigator, site.investigator, address, shown=shown).status_code == 409
    assert not SignedRecord.objects.exists()


@pytest.mark.requirement("REQ-038")
def test_a_later_change_of_the_record_shows(site, subject, investigator):
    sign_page(investigator, site.investigator, reverse("randomize", args=[subject.pk]))
    subject.refresh_from_db()
    subject.baseline = subject.baseline | {"age": 99}
    subject.save(update_fields=["baseline"])
    page = investigator.get(reverse("subject", args=[subject.pk])).content.decode()
    assert "Signed version differs" in page
    assert SignedRecord.objects.get().sha256 in page


@pytest.mark.requirement("REQ-038")
def test_a_dose_reduction_that_is_corrected_shows_and_its_correction_never_changes(
    site, subject, investigator
):
    """A correction is written once, for good, and holds nothing of another row that can change."""
    randomize(subject, by=TESTER)
    today = clock.today("Europe/Paris").isoformat()
    typed = {"on": today, "reason": "Rash"}
    address = reverse("reduce-dose", args=[subject.pk, "study_drug"])
    assert sign_page(investigator, site.investigator, address, typed).status_code == 302
    at = reverse("subject", args=[subject.pk])
    assert "Signed version differs" not in investigator.get(at).content.decode()
    [reduction] = subject.dose_reductions.all()
    typed = {"reduced_on": today, "reason": "Stomatitis", "why": "Read the wrong line"}
    address = reverse("correct", args=["reduction", reduction.pk])
    assert sign_page(investigator, site.investigator, address, typed).status_code == 302
    reduced, corrected = SignedRecord.objects.order_by("pk")
    page = investigator.get(at).content.decode()
    assert page.count("Signed version differs") == 1
    reduction.refresh_from_db()
    [made] = subject.corrections.all()
    shown = signatures_of([reduction_record(reduction), correction_record(made)])
    assert [(each.signature, each.differs) for each in shown] == [
        (reduced, True),
        (corrected, False),
    ]
    for field in ("was", "now", "told", "name", "reason", "in_error"):
        with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
            subject.corrections.update(**{field: getattr(made, field)})


@pytest.mark.requirement("REQ-038")
@pytest.mark.parametrize(
    "change", [{"name": "Another"}, {"time_zone": "UTC"}, {"ethics_approved_on": date(2020, 1, 1)}]
)
def test_a_later_change_of_an_activated_centre_shows(site, signed_in, change):
    planned = a_centre(site.study, active=False, cover=0)
    a_drill(planned)
    manager = signed_in(site.study_manager)
    day = (clock.today("Europe/Paris") - timedelta(days=9)).isoformat()
    address = reverse("activate-centre", args=[planned.pk])
    sign_page(manager, site.study_manager, address, {"ethics_approved_on": day})
    type(planned).objects.filter(pk=planned.pk).update(**change)
    page = manager.get(reverse("centre", args=[planned.pk])).content.decode()
    assert "Signed version differs" in page
    assert SignedRecord.objects.get().canonical in unescape(page)


def test_twice_gives_the_first_answer_and_one_signature(site, subject, investigator):
    address = reverse("randomize", args=[subject.pk])
    typed = components(site.investigator, investigator.get(address))
    first, again = (investigator.post(address, typed) for _ in range(2))
    assert again.url == f"{first.url}?again=1"
    assert SignedRecord.objects.count() == 1


def test_what_is_not_randomized_leaves_no_signature(site, signed_in):
    bare = a_centre(site.study, cover=0)
    person = a_user("investigator", centre=bare)
    address = reverse("randomize", args=[a_subject(bare).pk])
    assert sign_page(signed_in(person), person, address).status_code == 409
    assert not SignedRecord.objects.exists()


def test_an_edc_system_signs_nothing_and_no_statement_is_spent_on_it(subject):
    with CaptureQueriesContext(connection) as seen:
        randomize(subject, by=TESTER)
    assert len(seen) > 5
    assert not [each for each in seen.captured_queries if "signatures_" in each["sql"]]


@pytest.mark.requirement("REQ-037")
def test_centre_activation_is_signed_with_the_day_that_was_typed(site, signed_in):
    planned = a_centre(site.study, active=False, cover=0)
    a_drill(planned)
    manager = signed_in(site.study_manager)
    day = (clock.today("Europe/Paris") - timedelta(days=9)).isoformat()
    address = reverse("activate-centre", args=[planned.pk])
    sign_page(manager, site.study_manager, address, {"ethics_approved_on": day})
    kept = SignedRecord.objects.get()
    assert (kept.record_kind, kept.record_pk) == ("centre activation", planned.pk)
    assert f'"ethics approved on":"{day}"' in kept.canonical
    page = manager.get(reverse("centre", args=[planned.pk])).content.decode()
    assert f"Signed by {site.study_manager.name}, Study manager" in page
    assert "Signed version differs" not in page


def test_signatures_of_code_breaks_are_for_those_who_may_know_of_them(committed_site, signed_in):
    site = committed_site
    subject = a_randomized_subject(site.here)
    address = reverse("ask-code-break", args=[subject.pk])
    typed = {"reason": "emergency", "explanation": "Reaction", "read_back": subject.number}
    browser = signed_in(site.investigator)
    assert sign_page(browser, site.investigator, address, typed).status_code == 302
    assert SignedRecord.objects.get().record_kind == "code break"
    at = reverse("subject", args=[subject.pk])
    assert b"I ask to see the treatment" in browser.get(at).content
    assert b"I ask to see the treatment" not in signed_in(site.monitor).get(at).content


class TestLock:
    def wrong(self, site, browser, address, times=1):
        return [
            sign_page(browser, site.investigator, address, password="guess").status_code
            for _ in range(times)
        ]

    @pytest.mark.requirement("REQ-040")
    def test_three_wrong_tries_lock_signing_and_tell_managers(self, site, subject, investigator):
        address = reverse("randomize", args=[subject.pk])
        assert self.wrong(site, investigator, address, times=3) == [422, 422, 403]
        right = sign_page(investigator, site.investigator, address)
        assert right.status_code == 403
        assert "You cannot sign for 30 minutes" in right.content.decode()
        mail.outbox.clear()
        outbox.deliver_due()
        [letter] = [each for each in mail.outbox if "Signing locked" in each.subject]
        assert set(letter.to) == {site.study_manager.email, site.administrator.email}
        assert site.investigator.name in letter.body
        assert "guess" not in letter.body
        assert not SignedRecord.objects.exists()

    def test_the_lock_ends_by_the_databases_clock(self, site, subject, investigator):
        address = reverse("randomize", args=[subject.pk])
        self.wrong(site, investigator, address, times=3)
        state = SigningState.objects.get()
        left = state.locked_until - datetime.now(UTC)
        assert timedelta(minutes=29) < left <= timedelta(minutes=30)
        with clock.at(clock.now() + timedelta(days=1)):  # business time does not end it
            assert sign_page(investigator, site.investigator, address).status_code == 403
        SigningState.objects.update(locked_until=datetime.now(UTC) - timedelta(seconds=1))
        assert sign_page(investigator, site.investigator, address).status_code == 302

    def test_a_right_signature_forgets_earlier_failures(self, site, investigator):
        for _ in range(2):
            address = reverse("randomize", args=[a_subject(site.here).pk])
            assert self.wrong(site, investigator, address, times=2) == [422, 422]
            assert sign_page(investigator, site.investigator, address).status_code == 302
        assert SigningState.objects.get().locks == 0

    def test_the_lock_is_one_persons(self, site, subject, investigator, signed_in):
        address = reverse("randomize", args=[subject.pk])
        self.wrong(site, investigator, address, times=3)
        other = a_user("investigator", centre=site.here)
        assert sign_page(signed_in(other), other, address).status_code == 302
