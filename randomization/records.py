"""What people sign in room 2, as records (`iwrs.signatures`). Never an arm."""

from enrolment.models import Centre, CodeBreakDrill, Subject
from iwrs.signatures import Record
from randomization.models import CodeBreakRequest


def subject_record(subject: Subject) -> Record:
    """Whose code somebody is about to break: what the page shows before the request."""
    return Record(
        "subject", subject.pk, {"centre": subject.centre.number, "subject": subject.number}
    )


def drill_record(drill: CodeBreakDrill) -> Record:
    """A code break that is practised, on a subject who does not exist."""
    return Record(
        "code break drill",
        drill.pk,
        {
            "centre": drill.centre.number,
            "practised by": drill.done_by,
            "reason": drill.reason,
            "explanation": drill.explanation,
        },
    )


def code_break_record(request: CodeBreakRequest) -> Record:
    """A request to see one subject's treatment, or the record that it was read in a pack."""
    facts: dict[str, object] = {
        "subject": request.subject.number,
        "requested by": request.requested_by,
        "reason": request.reason,
        "explanation": request.explanation,
    }
    if request.opened_by:
        facts |= {"opened by": request.opened_by, "opened at": request.revealed_at}
    return Record("code break", request.pk, facts)


def openings_record(centre: Centre) -> Record:
    """The centre whose pack was opened, as the page of the record shows it."""
    known = CodeBreakRequest.objects.filter(subject__centre=centre).exclude(opened_by="")
    return Record(
        "openings of sealed packs",
        centre.pk,
        {"centre": centre.number, "recorded before": known.count()},
    )
