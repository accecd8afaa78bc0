"""The drill: a code break practised on a subject who does not exist, before the first drug.

The same three steps, form and texts as in `randomization.services`, and nothing of what is behind
them: no gate, no list, no subject. The treatment that a drill shows is a made-up text.
"""

from dataclasses import dataclass
from datetime import timedelta

from django.db.models.functions import Now

from enrolment.models import Centre, CodeBreakDrill
from iwrs import gate
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.locks import lock
from iwrs.permissions import Act, may
from iwrs.problems import Problem
from iwrs.signatures import Signature
from iwrs.signatures.services import keep, require_shown
from randomization.records import drill_record
from randomization.services import require_reason

TREATMENT = "DRILL: here stands the name of the treatment"
LONGEST = timedelta(minutes=15)  # from request to answer, as for a real code


@dataclass(frozen=True)
class Dummy:
    """The subject of a drill. No real subject ever has the sequence number 000."""

    centre: Centre

    @property
    def number(self) -> str:
        return f"{self.centre.number}-000"


def start_drill(centre: Centre, *, by: Actor) -> CodeBreakDrill:
    """Start the clock of a drill at a centre, also one that is not active yet.

    Raises `Problem` (`not_an_investigator`, 403) unless an investigator of the centre does it.
    """
    if not may(by.role, Act.PRACTISE_CODE_BREAK):
        raise Problem(
            code="not_an_investigator",
            title="A drill is done by an investigator of the centre.",
            action="Ask an investigator of the centre to do it.",
            status=403,
        )
    with act("start code break drill", by=by):
        centre = lock(Centre.objects, centre.pk)
        if centre.status == Centre.Status.CLOSED:
            raise Problem(
                code="centre_status",
                title=f"Centre {centre.number} is closed.",
                action="A drill is done at a centre that is not closed.",
            )
        drill = CodeBreakDrill.objects.create(centre=centre, done_by=by.label)
        drill.refresh_from_db(fields=["created_at"])
        return drill


def request_drill(
    drill: CodeBreakDrill, *, by: Actor, reason: str, explanation: str, signature: Signature
) -> CodeBreakDrill:
    """The first of the two acts that are practised: a signed request with its reason."""
    require_reason(reason, explanation)
    with act("request code in a drill", by=by, why=signature.meaning):
        drill = _own(drill, by)
        if drill.requested_at is not None:
            raise _shown_once()
        require_shown(signature, drill_record(drill))
        drill.reason, drill.explanation = reason, explanation.strip()
        drill.requested_at = Now()
        drill.save(update_fields=["reason", "explanation", "requested_at"])
        drill.refresh_from_db()
        centre = drill.centre
        keep(signature, drill_record(drill), study=centre.study, time_zone=centre.time_zone)
        return drill


def show_drill(drill: CodeBreakDrill, *, by: Actor) -> CodeBreakDrill:
    """The second act: the made-up treatment is shown, once, and the drill is done."""
    with act("finish code break drill", by=by):
        drill = _own(drill, by)
        if drill.requested_at is None or drill.finished_at is not None:
            raise _shown_once()
        in_time = CodeBreakDrill.objects.filter(requested_at__gte=Now() - LONGEST)
        if not in_time.filter(pk=drill.pk).exists():
            code, title, action, status = gate.REFUSALS["IW006"]
            raise Problem(code=code, title=title, action=action, status=status)
        drill.finished_at = Now()
        drill.save(update_fields=["finished_at"])
        drill.refresh_from_db()
        return drill


def practise(centre: Centre, *, by: Actor, signature: Signature) -> CodeBreakDrill:
    """The three steps of a drill, one after the other: for replays and other made-up studies."""
    drill = start_drill(centre, by=by)
    drill = request_drill(
        drill, by=by, reason="emergency", explanation="A drill.", signature=signature
    )
    return show_drill(drill, by=by)


def _own(drill: CodeBreakDrill, by: Actor) -> CodeBreakDrill:
    drill = lock(CodeBreakDrill.objects.select_related("centre__study"), drill.pk)
    if drill.done_by != by.label:
        raise Problem(
            code="drill_of_another",
            title="Somebody else does this drill.",
            action="Start a drill of your own.",
        )
    return drill


def _shown_once() -> Problem:
    code, title, action, status = gate.REFUSALS["IW005"]
    return Problem(code=code, title=title, action=action, status=status)
