"""All code breaks of a study on one page's worth of facts, and the assessment of each."""

from dataclasses import dataclass

from django.db.models import QuerySet

from iwrs import clock, gate
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.locks import lock
from iwrs.models import Study
from iwrs.problems import Invalid, Problem
from randomization.models import CodeBreakAssessment, CodeBreakRequest


@dataclass(frozen=True)
class Counted:
    """What the rows say, and what the database's own counters say. They must be equal."""

    what: str
    rows: int
    counter: int

    @property
    def differs(self) -> bool:
        return self.rows != self.counter


def counted(study: Study) -> list[Counted]:
    """Requests and answers by their rows and by the counters behind the gate."""
    requests, reveals = gate.call("code_break_counts", study.pk)
    rows = study.code_breaks.filter(opened_by="")  # openings of packs pass no counter
    return [
        Counted("Codes asked for", rows.count(), requests),
        Counted("Treatments shown", rows.filter(revealed_at__isnull=False).count(), reveals),
    ]


def code_breaks_of(study: Study) -> QuerySet[CodeBreakRequest]:
    """Every request of the study, newest first, with its subject and its assessment."""
    rows = study.code_breaks.select_related("subject__centre", "assessment")
    return rows.order_by("-requested_at", "-pk")


def not_assessed(breaks: QuerySet[CodeBreakRequest]) -> QuerySet[CodeBreakRequest]:
    """Those whose treatment was shown and that nobody has assessed."""
    return breaks.filter(revealed_at__isnull=False, assessment__isnull=True)


def assess(
    request: CodeBreakRequest, *, by: Actor, necessary: bool, impact: str, action: str
) -> CodeBreakAssessment:
    """Assess one unblinding, once, by another person than the one who saw the treatment."""
    problems = {}
    if not impact.strip():
        problems["impact"] = "Say what follows for the subject and for the study."
    if not action.strip():
        problems["action"] = "Say what is done, or that nothing has to be done."
    if problems:
        raise Invalid(problems)
    with act("assess code break", by=by, why=action.strip()):
        study = lock(Study.objects, request.study_id)  # nobody may lock a request but its gate
        request = study.code_breaks.select_related("assessment").get(pk=request.pk)
        _require_open(request, by)
        return CodeBreakAssessment.objects.create(
            request=request,
            necessary=necessary,
            impact=impact.strip(),
            action=action.strip(),
            assessed_by=by.label,
            assessed_at=clock.now(),
        )


def _require_open(request: CodeBreakRequest, by: Actor) -> None:
    if request.revealed_at is None:
        raise Problem(
            code="code_not_shown",
            title="The treatment was not shown.",
            action="There is nothing to assess.",
        )
    if hasattr(request, "assessment"):
        raise Problem(
            code="code_break_assessed",
            title="This code break is already assessed.",
            action=f"It was assessed by {request.assessment.assessed_by}.",
        )
    if request.requested_by == by.label:
        raise Problem(
            code="same_person",
            title="The person who broke a code does not assess it.",
            action="Ask the study manager or another safety physician.",
        )
