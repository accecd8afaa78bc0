"""The verbs of room 2 on the blinded side: allocate a place, break one code."""

import hashlib
from datetime import datetime

from django.db.models import Exists, OuterRef
from django.utils import timezone

from enrolment.models import Subject
from iwrs import clock, gate, outbox
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Signature
from iwrs.signatures.services import keep, require_shown
from randomization import letters
from randomization.models import CodeBreakRefusal, CodeBreakRequest, ListCommitment, Randomization
from randomization.reasons import REASONS
from randomization.records import code_break_record, subject_record

_PRIME = 99_999_989  # the largest prime below 10**8


def list_in_use() -> Exists:
    """For a query of subjects: whether the study has an approved list in use."""
    return Exists(ListCommitment.objects.filter(study=OuterRef("study"), active=True))


def no_list() -> Problem:
    """The refusal while there is no approved list."""
    return Problem(
        code="no_list",
        title="The study has no approved randomization list.",
        action="Subjects can be randomized when the study's statisticians have approved one.",
    )


def allocate(subject: Subject, *, by: Actor, at: datetime, paper_number: str = "") -> Randomization:
    """Take the next place of the subject's stratum and mark the subject randomized `at` a moment.
    With a paper number that was accepted for the subject, the place that it tells.

    Part of an open act (see `trial.services.randomize`), with the subject locked. The arm stays
    in schema `unblinded`.
    """
    gate.call("allocate", subject.pk, paper_number)
    subject.status = Subject.Status.RANDOMIZED
    subject.randomized_at = at
    subject.save(update_fields=["status", "randomized_at"])
    return Randomization.objects.create(
        subject=subject,
        study_id=subject.study_id,
        number=randomization_number(subject),
        stratum_key=subject.stratum_key,
        occurred_at=at,
        by=by.label,
    )


def randomization_number(subject: Subject) -> str:
    """Eight digits that carry no arm, block or place in the list, and are unique in the study.

    The subject's key goes through a bijection modulo a prime, so two subjects can never meet in
    one number. Its two constants come from the study's code: whoever knows that can turn the
    number back into the key, which the subject's site knows anyway.
    """
    digest = hashlib.sha256(f"randomization number|{subject.study.code}".encode()).digest()
    factor = int.from_bytes(digest[:8], "big") % (_PRIME - 1) + 1
    shift = int.from_bytes(digest[8:16], "big") % _PRIME
    return f"{(subject.pk * factor + shift) % _PRIME:08d}"


def request_code_break(
    subject: Subject, *, by: Actor, reason: str, explanation: str, signature: Signature
) -> CodeBreakRequest:
    """Ask to see one subject's treatment: the first of two transactions, counted and recorded.

    The database refuses when the study's hourly budget is used up (`code_break_budget`).
    """
    require_reason(reason, explanation)
    try:
        if subject.randomized_at is None:
            raise Problem(
                code="not_randomized",
                title=f"Subject {subject.number} is not randomized.",
                action="There is no treatment to show.",
            )
        with act("request code break", by=by, why=f"{reason}: {signature.meaning}"):
            require_shown(signature, subject_record(subject))
            pk = gate.call("code_break_request", subject.pk, by.label, reason, explanation.strip())
            request = CodeBreakRequest.objects.select_related("subject__centre__study").get(pk=pk)
            centre = request.subject.centre
            record = code_break_record(request)
            keep(signature, record, study=centre.study, time_zone=centre.time_zone)
            outbox.queue(
                subject.study, letters.REQUESTED, key=f"code-break-{pk}", refs={"request": pk}
            )
            return request
    except Problem as problem:
        _record_refusal(subject, problem, by=by)
        raise


def require_reason(reason: str, explanation: str) -> None:
    """Raise `Invalid` unless a code break, or a drill of one, has a known reason and a text."""
    problems = reason_problems(reason, explanation)
    if problems:
        raise Invalid(problems)


def reason_problems(reason: str, explanation: str) -> dict[str, str]:
    """One text for each of the two answers that is missing or not allowed."""
    problems = {}
    if reason not in REASONS:
        problems["reason"] = f"Choose one of: {', '.join(REASONS)}."
    if not explanation.strip():
        problems["explanation"] = "Say why the treatment must be known."
    return problems


def _record_refusal(subject: Subject, problem: Problem, *, by: Actor) -> None:
    """Record that a code was not shown; beyond the budget also tell the study's staff, once an
    hour. An act of its own: the refused act left nothing behind.
    """
    study = subject.study
    # Real time, as the budget counts: the business time of a replay may stand still.
    hour = timezone.now().strftime("%Y-%m-%dT%H")
    with act("refuse code break", by=by):
        CodeBreakRefusal.objects.create(
            subject=subject, study=study, refused_to=by.label, why=problem.code
        )
        if problem.code == "code_break_budget":
            outbox.queue(study, letters.BUDGET, key=f"code-break-budget-{study.pk}-{hour}", refs={})


def reveal_code(request: CodeBreakRequest, *, by: Actor) -> str:
    """The arm of the subject of a committed request: shown once, kept nowhere.

    The second of two transactions, within fifteen minutes of the first. The caller shows the
    returned code on one page and must not log, store or mail it.
    """
    try:
        with act("reveal code", by=by, why=request.reason):
            return str(gate.call("code_break_reveal", request.pk, clock.now()))
    except Problem as problem:
        _record_refusal(request.subject, problem, by=by)
        raise
