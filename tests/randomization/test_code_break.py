"""The first door: one code, asked for with a reason, counted, told to others without the arm."""

from datetime import UTC, datetime

import pytest
import time_machine
from django.core import mail

from iwrs import clock, outbox
from iwrs.accounts.models import Role
from iwrs.models import OutboxMessage
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Signature
from randomization.models import CodeBreakRequest
from randomization.services import request_code_break, reveal_code
from tests import factories as make

NOW = datetime(2010, 3, 2, 10, tzinfo=UTC)


@pytest.fixture
def subject(committed_db):
    with clock.at(NOW):
        study = make.a_study()
        make.a_user(Role.STUDY_MANAGER, study=study)
        make.a_user(Role.SAFETY_PHYSICIAN, study=study)
        yield make.a_randomized_subject(make.a_centre(study))


def ask(subject, **changes):
    answers = {
        "reason": "emergency",
        "explanation": "Unconscious; the antidote depends on the drug",
        "signature": Signature(make.TESTER.label, NOW, "I ask to see this treatment"),
    }
    return request_code_break(subject, by=make.TESTER, **(answers | changes))


@pytest.mark.requirement("REQ-052")
def test_the_code_is_shown_once_and_the_subject_is_marked(subject):
    request = ask(subject)
    assert reveal_code(request, by=make.TESTER) == make.arm_of(subject)
    subject.refresh_from_db()
    assert subject.unblinded_at == NOW
    with pytest.raises(Problem) as refused:
        reveal_code(request, by=make.TESTER)
    assert refused.value.code == "code_break_refused"


@pytest.mark.requirement("REQ-051")
def test_others_are_told_without_the_treatment(subject):
    request = ask(subject)
    arm = reveal_code(request, by=make.TESTER)
    outbox.deliver_due()
    [letter] = [m for m in mail.outbox if "Code break" in m.subject]
    assert len(letter.to) + len(letter.bcc) == 2
    assert subject.number in letter.subject
    labels = [a.label for a in subject.study.definition.arms]
    text = letter.subject + letter.body
    assert not any(word in text for word in [arm, *labels])


@pytest.mark.requirement("REQ-052")
@pytest.mark.parametrize(
    ("field", "changes"),
    [("reason", {"reason": "curiosity"}), ("explanation", {"explanation": "  "})],
)
def test_without_a_reason_nothing_is_asked(subject, field, changes):
    with pytest.raises(Invalid) as refused:
        ask(subject, **changes)
    assert list(refused.value.errors) == [field]
    assert not CodeBreakRequest.objects.exists()


@pytest.mark.requirement("REQ-047")
def test_beyond_the_budget_it_refuses_and_raises_an_alarm(subject):
    for _ in range(3):
        ask(subject)
    with time_machine.travel(datetime.now(UTC), tick=False):  # the alarm is told once an hour
        for _ in range(2):
            with pytest.raises(Problem) as refused:
                ask(subject)
            assert refused.value.code == "code_break_budget"
    assert CodeBreakRequest.objects.count() == 3
    assert OutboxMessage.objects.filter(topic="code-break-budget").count() == 1


def test_a_subject_who_is_not_randomized_has_no_code(subject):
    with clock.at(NOW):
        other = make.a_subject(subject.centre)
    with pytest.raises(Problem) as refused:
        ask(other)
    assert refused.value.code == "not_randomized"
