"""A real code break beyond the happy path: what is refused, what is recorded, who is told."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
import time_machine
from django.core import mail
from django.test import Client
from django.urls import reverse

from enrolment.models import Subject
from iwrs import clock, outbox
from iwrs.accounts.models import Role, User
from iwrs.problems import Problem
from iwrs.signatures import Signature
from iwrs.signatures.models import SignedRecord
from randomization.models import CodeBreakRefusal, CodeBreakRequest
from randomization.services import request_code_break, reveal_code
from tests import factories as make
from tests.code_break.typing_in import ask
from tests.roles import Logins
from tests.signing import PASSWORD


@pytest.fixture
def subject(committed_site: SimpleNamespace) -> Subject:
    return make.a_randomized_subject(committed_site.here)


def request(subject: Subject) -> CodeBreakRequest:
    return request_code_break(
        subject,
        by=make.INVESTIGATOR,
        reason="emergency",
        explanation="Unconscious",
        signature=Signature(make.INVESTIGATOR.label, clock.now(), "I ask"),
    )


def refusals() -> list[tuple[str, str]]:
    return list(CodeBreakRefusal.objects.order_by("pk").values_list("refused_to", "why"))


@pytest.mark.requirement("REQ-047")
def test_beyond_the_budget_each_refusal_is_recorded_and_two_roles_are_told(
    committed_site: SimpleNamespace, subject: Subject
) -> None:
    for _ in range(3):
        request(subject)
    with time_machine.travel(datetime.now(UTC), tick=False):  # the alarm is told once an hour
        for _ in range(2):
            with pytest.raises(Problem, match="No more code breaks"):
                request(subject)
    assert refusals() == [(make.INVESTIGATOR.label, "code_break_budget")] * 2
    mail.outbox.clear()
    outbox.deliver_due()
    [alarm] = [each for each in mail.outbox if "No more code breaks" in each.subject]
    told = {committed_site.study_manager.email, committed_site.safety_physician.email}
    assert set(alarm.to) == told


@pytest.mark.requirement("REQ-046", "REQ-047")
def test_beyond_the_budget_the_page_says_what_to_do_and_loses_nothing_typed(
    committed_site: SimpleNamespace, subject: Subject, signed_in: Callable[[User], Client]
) -> None:
    person = committed_site.investigator
    browser = signed_in(person)
    address = reverse("ask-code-break", args=[subject.pk])
    typed = {"reason": "susar", "explanation": "Severe <reaction>", "read_back": subject.number}
    for _ in range(3):
        assert ask(browser, person, address, **typed).status_code == 302
    answer = ask(browser, person, address, **typed)
    page = answer.content.decode()
    assert answer.status_code == 429
    assert "No more code breaks are allowed in this study for now." in page
    assert "Call the study&#x27;s safety physician. The study manager has been told." in page
    assert "Severe &lt;reaction&gt;</textarea>" in page
    for name, value in (("read_back", subject.number), ("signer", person.email)):
        assert re.search(rf'<input[^>]* name="{name}" value="{re.escape(value)}"', page), name
    [chosen] = re.findall(r"<input[^>]* checked[^>]*>", page)
    assert 'value="susar"' in chosen
    assert PASSWORD not in page
    assert CodeBreakRequest.objects.count() == 3
    assert SignedRecord.objects.count() == 3
    assert refusals() == [(str(person), "code_break_budget")]
    assert not any(arm.label in page for arm in committed_site.study.definition.arms)


@pytest.mark.requirement("REQ-047")
def test_other_refusals_are_recorded_too(
    committed_site: SimpleNamespace, subject: Subject, logins: Logins
) -> None:
    waiting = make.a_subject(committed_site.here)
    with pytest.raises(Problem, match="is not randomized"):
        request(waiting)
    made = request(subject)
    reveal_code(made, by=make.INVESTIGATOR)
    with pytest.raises(Problem, match="cannot be shown"):
        reveal_code(made, by=make.INVESTIGATOR)
    late = request(subject)
    logins.owner().execute(
        "UPDATE randomization_codebreakrequest SET requested_at = requested_at - interval '16 min'"
    )
    with pytest.raises(Problem, match="within 15 minutes") as refused:
        reveal_code(late, by=make.INVESTIGATOR)
    assert refused.value.status == 410
    whys = [why for _, why in refusals()]
    assert whys == ["not_randomized", "code_break_refused", "code_break_expired"]


@pytest.mark.requirement("REQ-048")
def test_an_expired_request_shows_its_page_and_no_treatment(
    committed_site: SimpleNamespace,
    subject: Subject,
    signed_in: Callable[[User], Client],
    logins: Logins,
) -> None:
    person = committed_site.investigator
    browser = signed_in(person)
    first = reverse("ask-code-break", args=[subject.pk])
    show = ask(browser, person, first, read_back=subject.number).url
    logins.owner().execute(
        "UPDATE randomization_codebreakrequest SET requested_at = requested_at - interval '1 hour'"
    )
    answer = browser.post(show)
    assert answer.status_code == 410
    labels = [arm.label for arm in committed_site.study.definition.arms]
    assert not any(label in answer.content.decode() for label in labels)
    assert "Make a new request" in answer.content.decode()
    subject.refresh_from_db()
    assert subject.unblinded_at is None


@pytest.mark.requirement("REQ-048")
def test_the_safety_physician_breaks_any_code_of_the_study_and_nobody_else_outside_the_centre(
    committed_site: SimpleNamespace, signed_in: Callable[[User], Client]
) -> None:
    site = committed_site
    subject = make.a_randomized_subject(site.there)
    address = reverse("ask-code-break", args=[subject.pk])
    assert signed_in(site.investigator).get(address).status_code == 404
    assert signed_in(site.investigator).post(address, {}).status_code == 404
    person = site.safety_physician
    browser = signed_in(person)
    show = ask(browser, person, address, read_back=subject.number, reason="susar").url
    page = browser.post(show).content.decode()
    arms = {arm.code: arm.label for arm in site.study.definition.arms}
    assert f'<p class="answer">{arms[make.arm_of(subject)]}</p>' in page
    elsewhere = make.a_user(Role.SAFETY_PHYSICIAN, study=make.a_study(with_list=False))
    assert signed_in(elsewhere).get(address).status_code == 404


@pytest.mark.requirement("REQ-052")
def test_the_subjects_page_says_by_whom_when_and_why_to_those_who_may_know(
    committed_site: SimpleNamespace, subject: Subject, signed_in: Callable[[User], Client]
) -> None:
    site = committed_site
    address = reverse("subject", args=[subject.pk])
    assert "Code broken" not in signed_in(site.investigator).get(address).content.decode()
    reveal_code(request(subject), by=make.INVESTIGATOR)
    for role in (Role.STUDY_MANAGER, Role.SAFETY_PHYSICIAN, Role.INVESTIGATOR):
        page = signed_in(getattr(site, role)).get(address).content.decode()
        assert "Code break by Investigator" in page, role
        assert "Medical emergency" in page
        assert ">Code broken</span>" in page
    for role in (Role.SITE_COORDINATOR, Role.PHARMACIST, Role.MONITOR, Role.ADMINISTRATOR):
        page = signed_in(getattr(site, role)).get(address).content.decode()
        assert "code br" not in page.lower(), role


def test_a_subject_who_is_not_randomized_gives_a_clear_error_on_the_page(
    site: SimpleNamespace, signed_in: Callable[[User], Client]
) -> None:
    waiting = make.a_subject(site.here)
    address = reverse("ask-code-break", args=[waiting.pk])
    person = site.investigator
    answer = ask(signed_in(person), person, address, read_back=waiting.number)
    assert answer.status_code == 409
    assert f"Subject {waiting.number} is not randomized." in answer.content.decode()
    assert "There is no treatment to show." in answer.content.decode()


@pytest.mark.requirement("REQ-051")
def test_the_letter_says_who_and_why_in_words_and_not_the_treatment(
    committed_site: SimpleNamespace, subject: Subject
) -> None:
    reveal_code(request(subject), by=make.INVESTIGATOR)
    mail.outbox.clear()
    outbox.deliver_due(limit=100)
    [letter] = [each for each in mail.outbox if subject.number in each.subject]
    assert "Reason:       Medical emergency: the treatment decides the care" in letter.body
    assert make.INVESTIGATOR.label in letter.body
    assert not any(arm.label in letter.body for arm in committed_site.study.definition.arms)
