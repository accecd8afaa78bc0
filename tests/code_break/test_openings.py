"""A sealed pack was opened while the system was down: what the record of it changes."""

from collections.abc import Callable
from datetime import datetime, timedelta
from types import SimpleNamespace

import psycopg
import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse

from enrolment.models import Centre, Subject
from iwrs import clock, outbox
from iwrs.accounts.models import User
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Signature
from iwrs.signatures.models import SignedRecord
from randomization.models import CodeBreakRequest
from randomization.openings import Opening, record_opening
from randomization.reconciliation import assess, code_breaks_of, counted, not_assessed
from randomization.services import request_code_break, reveal_code
from tests import factories as make
from tests.blinding.hostile import refusal, request
from tests.roles import Logins
from tests.signing import sign_page

PHYSICIAN = make.Actor("Safety Physician <sp@example.org>", kind="person", role="safety_physician")
HOLDER = "Duty pharmacist"


@pytest.fixture
def subject(site: SimpleNamespace) -> Subject:
    return of_yesterday(site.here)


def of_yesterday(centre: Centre) -> Subject:
    """Randomized more than a day ago, and be it the day of 25 hours."""
    with clock.at(clock.now() - timedelta(hours=26)):
        return make.a_randomized_subject(centre)


def record(
    subjects: list[Subject], at: datetime | None = None, **changes: str
) -> list[CodeBreakRequest]:
    given = {"opened_by": HOLDER, "reason": "emergency", "explanation": "Sepsis"} | changes
    return record_opening(
        subjects[0].centre,
        subjects,
        Opening(opened_at=at or clock.now(), **given),
        by=PHYSICIAN,
        signature=Signature(PHYSICIAN.label, clock.now(), "Opened"),
    )


@pytest.mark.requirement("REQ-079", "REQ-052")
def test_an_opening_marks_the_subjects_and_is_reconciled_outside_the_budget(
    site: SimpleNamespace, subject: Subject
) -> None:
    other, untouched = (of_yesterday(site.here) for _ in range(2))
    at = clock.now() - timedelta(minutes=1)
    before = counted(site.study)
    made = record([subject, other], at)
    assert [each.subject for each in made] == [subject, other]
    for each in (subject, other):
        each.refresh_from_db()
        assert each.unblinded_at == at
    untouched.refresh_from_db()
    assert untouched.unblinded_at is None
    assert counted(site.study) == before
    assert not any(each.differs for each in counted(site.study))
    assert set(not_assessed(code_breaks_of(site.study))) == set(made)
    for _ in range(3):  # the budget of an hour, whole
        request_code_break(
            subject, by=make.INVESTIGATOR, reason="emergency", explanation="Again",
            signature=Signature(make.INVESTIGATOR.label, clock.now(), "I ask"),
        )  # fmt: skip


def test_the_first_moment_of_unblinding_stays(site: SimpleNamespace, subject: Subject) -> None:
    first = clock.now() - timedelta(seconds=30)
    record([subject], first)
    record([subject], clock.now())
    subject.refresh_from_db()
    assert subject.unblinded_at == first


def test_a_later_code_break_keeps_the_moment_of_the_opening(
    committed_site: SimpleNamespace,
) -> None:
    subject = make.a_randomized_subject(committed_site.here)
    opened = clock.now()
    record([subject], opened)
    with clock.at(opened + timedelta(seconds=5)):
        asked = request_code_break(
            subject, by=make.INVESTIGATOR, reason="emergency", explanation="Again",
            signature=Signature(make.INVESTIGATOR.label, clock.now(), "I ask"),
        )  # fmt: skip
        reveal_code(asked, by=make.INVESTIGATOR)
    subject.refresh_from_db()
    assert subject.unblinded_at == opened


def test_an_earlier_opening_recorded_later_is_the_first_moment(
    committed_site: SimpleNamespace,
) -> None:
    subject = make.a_randomized_subject(committed_site.here)
    opened = clock.now()
    asked = request_code_break(
        subject, by=make.INVESTIGATOR, reason="emergency", explanation="First",
        signature=Signature(make.INVESTIGATOR.label, clock.now(), "I ask"),
    )  # fmt: skip
    reveal_code(asked, by=make.INVESTIGATOR)
    record([subject], opened)
    subject.refresh_from_db()
    assert subject.unblinded_at == opened


@pytest.mark.requirement("REQ-079", "REQ-056")
def test_the_same_letter_goes_out_without_the_treatment(
    site: SimpleNamespace, subject: Subject
) -> None:
    record([subject])
    mail.outbox.clear()
    outbox.deliver_due()
    [letter] = [each for each in mail.outbox if "Sealed pack opened" in each.subject]
    assert set(letter.to) == {site.study_manager.email, site.safety_physician.email}
    assert f"Opened by:    {HOLDER}" in letter.body
    assert f"Recorded by:  {PHYSICIAN.label}" in letter.body
    arms = [text for arm in site.study.definition.arms for text in (arm.code, arm.label)]
    assert not any(text in letter.body + letter.subject for text in arms)


@pytest.mark.requirement("REQ-079")
def test_what_cannot_be_recorded_is_refused_and_changes_nothing(
    site: SimpleNamespace, subject: Subject
) -> None:
    waiting, elsewhere = make.a_subject(site.here), make.a_randomized_subject(site.there)
    with pytest.raises(Problem) as refused:
        record([waiting])
    assert refused.value.code == "not_randomized"
    wrong: list[tuple[list[Subject], dict[str, object], str]] = [
        ([subject, elsewhere], {}, "subjects"),
        ([subject], {"opened_by": " "}, "opened_by"),
        ([subject], {"reason": "curiosity"}, "reason"),
        ([subject], {"explanation": ""}, "explanation"),
        ([subject], {"at": clock.now() + timedelta(hours=1)}, "on"),
        ([subject], {"at": clock.now() - timedelta(days=3)}, "on"),
        ([subject], {"at": subject.randomized_at - timedelta(microseconds=1)}, "on"),
    ]
    for subjects, changes, field in wrong:
        with pytest.raises(Invalid) as invalid:
            record(subjects, **changes)  # type: ignore[arg-type]
        assert list(invalid.value.errors) == [field]
    assert not CodeBreakRequest.objects.exists()
    assert not Subject.objects.filter(unblinded_at__isnull=False).exists()


def test_an_opening_is_recorded_once(site: SimpleNamespace, subject: Subject) -> None:
    at = clock.now()
    record([subject], at)
    with pytest.raises(Problem) as refused:
        record([subject], at)
    assert refused.value.code == "opening_known"


@pytest.mark.requirement("REQ-045", "REQ-079")
def test_an_opening_is_assessed_by_somebody_else(site: SimpleNamespace, subject: Subject) -> None:
    [made] = record([subject])
    given = {"necessary": True, "impact": "None", "action": "None"}
    with pytest.raises(Problem, match="does not assess it"):
        assess(made, by=PHYSICIAN, **given)  # type: ignore[arg-type]
    assert assess(made, by=make.TESTER, **given).request == made  # type: ignore[arg-type]


@pytest.mark.requirement("REQ-079", "REQ-040")
def test_the_safety_physician_records_and_signs_on_the_page(
    site: SimpleNamespace, subject: Subject, signed_in: Callable[[User], Client]
) -> None:
    person = site.safety_physician
    browser = signed_in(person)
    today = clock.today(site.here.time_zone)
    late = make.a_randomized_subject(site.here)
    waiting = make.a_subject(site.here)
    address = reverse("record-opening", args=[site.here.pk])
    page = browser.get(address).content.decode()
    assert subject.number in page
    assert waiting.number not in page
    typed = {
        "subjects": [subject.number],
        "opened_by": HOLDER,
        "on": today.isoformat(),
        "time": "00:00",
        "reason": "susar",
        "explanation": "Asked by the intensive care unit",
    }
    wrong = sign_page(browser, person, address, typed | {"time": "late"})
    assert wrong.status_code == 422
    assert "Give the time as hours and minutes" in wrong.content.decode()
    ancient = sign_page(browser, person, address, typed | {"on": "0001-01-01"})
    assert ancient.status_code == 422
    assert "Give a day between 1900-01-01 and 2199-12-31." in ancient.content.decode()
    assert sign_page(browser, person, address, typed | {"password": "no"}, password="guess"
                     ).status_code == 422  # fmt: skip
    too_early = sign_page(browser, person, address, typed | {"subjects": [late.number]})
    assert too_early.status_code == 422
    assert f"Subject {late.number} was randomized later, on " in too_early.content.decode()
    sent = sign_page(browser, person, address, typed)
    assert sent.status_code == 302, sent.content.decode()
    [made] = CodeBreakRequest.objects.all()
    assert made.requested_by == str(person)
    signed = SignedRecord.objects.get(record_kind="code break", record_pk=made.pk)
    assert signed.meaning.startswith("The sealed pack was opened")
    all_breaks = browser.get(sent.url).content.decode()
    assert f"Opened from the sealed pack while the system was down, by {HOLDER}" in all_breaks
    told = signed_in(site.investigator).get(reverse("subject", args=[subject.pk]))
    assert "Opened from the sealed pack" in told.content.decode()
    hidden = signed_in(site.pharmacist).get(reverse("subject", args=[subject.pk]))
    assert "sealed pack" not in hidden.content.decode()


@pytest.mark.requirement("REQ-079")
def test_nobody_else_records_an_opening(
    site: SimpleNamespace, signed_in: Callable[[User], Client]
) -> None:
    address = reverse("record-opening", args=[site.there.pk])
    for role, status in [("study_manager", 403), ("auditor", 403), ("investigator", 404)]:
        assert signed_in(getattr(site, role)).get(address).status_code == status, role
    elsewhere = make.a_user(make.Role.SAFETY_PHYSICIAN, study=make.a_study(with_list=False))
    assert signed_in(elsewhere).get(address).status_code == 404


@pytest.mark.requirement("REQ-044", "REQ-079")
def test_the_blinded_login_cannot_mark_a_subject_but_by_a_record(
    committed_site: SimpleNamespace, logins: Logins
) -> None:
    subject = make.a_randomized_subject(committed_site.here)
    waiting = make.a_subject(committed_site.here)
    eve = logins.blinded()
    opening = "SELECT gate.code_break_opening(%s, %s, %s, %s, %s, now())"
    for arguments in (
        (waiting.pk, "Eve", "Eve", "other", "x"),
        (subject.pk, "", "Eve", "other", "x"),
        (subject.pk, "Eve", " ", "other", "x"),
        (subject.pk, "Eve", "Eve", "", "x"),
        (subject.pk, "Eve", "Eve", "other", None),
    ):
        with pytest.raises(psycopg.Error) as refused:
            eve.execute(opening, arguments)
        assert refused.value.sqlstate == "IW001"
        assert refused.value.diag.message_primary == "refused"
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        eve.execute("UPDATE enrolment_subject SET unblinded_at = now()")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        eve.execute("UPDATE randomization_codebreakrequest SET opened_by = ''")
    [made] = eve.execute(opening, (subject.pk, "Eve", "Eve", "other", "x")).fetchone()
    with pytest.raises(psycopg.Error) as refused:  # a record of a pack is no way to a treatment
        eve.execute("SELECT gate.code_break_reveal(%s, now())", [made])
    assert refused.value.sqlstate == "IW005"


@pytest.mark.requirement("REQ-079")
@pytest.mark.parametrize(
    ("when", "code"),
    [
        ("s.randomized_at - interval '1 microsecond'", "IW001"),
        ("s.randomized_at", None),
        ("clock_timestamp() + interval '4 minutes'", None),
        ("clock_timestamp() + interval '6 minutes'", "IW001"),
        ("'infinity'", "IW001"),
        ("'-infinity'", "IW001"),
    ],
)
def test_the_gate_takes_no_moment_before_the_randomization_or_in_the_future(
    committed_site: SimpleNamespace, logins: Logins, when: str, code: str | None
) -> None:
    """The moment is written for good, so the login must not choose any."""
    subject = make.a_randomized_subject(committed_site.here)
    call = (
        f"SELECT gate.code_break_opening(s.id, 'Eve', 'Eve', 'other', 'x', {when})"
        f" FROM enrolment_subject s WHERE s.id = {subject.pk}"
    )
    assert refusal(logins.blinded().execute, call) == code


@pytest.mark.parametrize("at", ["1990-01-01", None])
def test_the_gate_of_the_answer_marks_the_subject_within_the_trial(
    committed_site: SimpleNamespace, logins: Logins, at: str | None
) -> None:
    """An answer is not refused for a wrong clock; the mark is the nearest moment that can be."""
    subject = make.a_randomized_subject(committed_site.here)
    eve = logins.blinded()
    asked = request(eve, subject)
    eve.execute("SELECT gate.code_break_reveal(%s, %s)", [asked, at])
    subject.refresh_from_db()
    assert subject.unblinded_at is not None
    assert subject.unblinded_at >= subject.randomized_at
