"""The letters of room 2. They say that a code was asked for, never what it is."""

from django.conf import settings
from django.template.loader import render_to_string

from iwrs import gate
from iwrs.accounts.models import Role
from iwrs.models import Message
from iwrs.outbox import Letter, addresses, writes
from randomization.models import CodeBreakRequest
from randomization.reasons import REASONS

REQUESTED = "code-break-requested"
BUDGET = "code-break-budget"


@writes(REQUESTED)
def code_break_requested(message: Message) -> Letter:
    """Somebody asked to see one subject's treatment, or read it in a pack (ICH E6(R3) 4.1.4)."""
    request = CodeBreakRequest.objects.select_related("subject__centre", "study").get(
        pk=message.refs["request"]
    )
    study = request.study
    body = render_to_string(
        "randomization/mail/code_break_requested.txt",
        {
            "request": request,
            "reason": REASONS.get(request.reason, request.reason),
            "study": study,
            "portal": settings.PORTAL_URL,
        },
    )
    what = "Sealed pack opened" if request.opened_by else "Code break requested"
    heading = f"[{study.code}] {what}: subject {request.subject.number}"
    to = {*addresses(study, Role.STUDY_MANAGER), *addresses(study, Role.SAFETY_PHYSICIAN)}
    return Letter(to=tuple(sorted(to)), subject=heading, body=body)


@writes(BUDGET)
def budget_used_up(message: Message) -> Letter:
    """More codes were asked for than the study allows in an hour: somebody should look."""
    title = gate.REFUSALS["IW004"][1]
    study = message.study
    body = render_to_string(
        "randomization/mail/gate_refusal.txt",
        {"title": title, "study": study, "portal": settings.PORTAL_URL},
    )
    to = {*addresses(study, Role.STUDY_MANAGER), *addresses(study, Role.SAFETY_PHYSICIAN)}
    return Letter(to=tuple(sorted(to)), subject=f"[{study.code}] {title}", body=body)
