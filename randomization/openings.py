"""A sealed pack was opened while the system was down: recorded afterwards, like a code break.

The pack itself is room 5's (`dsmb.unblinded.packs`). Here is only who read which subject's
treatment, when and why. Nothing here knows a treatment.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from enrolment.models import Centre, Subject
from iwrs import clock, gate, outbox
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.locks import lock
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Signature
from iwrs.signatures.services import keep, require_shown
from randomization import letters
from randomization.models import CodeBreakRequest
from randomization.records import code_break_record, openings_record
from randomization.services import reason_problems


@dataclass(frozen=True)
class Opening:
    """What the emergency holder wrote down. `opened_at` is business time, aware."""

    opened_by: str
    opened_at: datetime
    reason: str
    explanation: str


def record_opening(
    centre: Centre,
    subjects: Sequence[Subject],
    opening: Opening,
    *,
    by: Actor,
    signature: Signature,
) -> list[CodeBreakRequest]:
    """Record that the treatments of these subjects of one centre were read in its sealed pack.

    Each subject is marked unblinded, and the same letter goes out as for a code break. The budget
    of code breaks is not used: nothing is shown. Raises `Invalid` with one text a field, and
    `Problem` when a subject was not randomized or the same opening is recorded already.
    """
    problems = _wrong(centre, subjects, opening)
    if problems:
        raise Invalid(problems)
    with act("record pack opening", by=by, why=f"{opening.reason}: {signature.meaning}"):
        centre = lock(Centre.objects.select_related("study"), centre.pk)
        require_shown(signature, openings_record(centre))
        locked = [
            lock(Subject.objects.all(), pk) for pk in sorted(subject.pk for subject in subjects)
        ]
        for subject in locked:
            _require_new(subject, opening, centre)
        return [_record(subject, opening, centre, by, signature) for subject in locked]


def _wrong(centre: Centre, subjects: Sequence[Subject], opening: Opening) -> dict[str, str]:
    problems = reason_problems(opening.reason, opening.explanation)
    if not subjects:
        problems["subjects"] = "Choose the subjects whose treatment was read."
    elif any(subject.centre_id != centre.pk for subject in subjects):
        problems["subjects"] = "Choose subjects of this centre."
    if not opening.opened_by.strip():
        problems["opened_by"] = "Say who opened the pack."
    if opening.opened_at > clock.study_now(centre.study.replay_now):
        problems["on"] = "This moment is in the future."
    return problems


def _require_new(subject: Subject, opening: Opening, centre: Centre) -> None:
    if subject.randomized_at is None:
        raise Problem(
            code="not_randomized",
            title=f"Subject {subject.number} is not randomized.",
            action="There is no treatment that could have been read.",
        )
    if opening.opened_at < subject.randomized_at:
        there = subject.randomized_at.astimezone(ZoneInfo(centre.time_zone))
        when = f"{there:%-d %B %Y} at {there:%H:%M}"
        raise Invalid({"on": f"Subject {subject.number} was randomized later, on {when}."})
    if subject.code_breaks.filter(
        opened_by=opening.opened_by.strip(), revealed_at=opening.opened_at
    ).exists():
        raise Problem(
            code="opening_known",
            title=f"This opening for subject {subject.number} is already recorded.",
            action="Look at the page of code breaks.",
        )


def _record(
    subject: Subject, opening: Opening, centre: Centre, by: Actor, signature: Signature
) -> CodeBreakRequest:
    pk = gate.call(
        "code_break_opening",
        subject.pk,
        by.label,
        opening.opened_by.strip(),
        opening.reason,
        opening.explanation.strip(),
        opening.opened_at,
    )
    made = CodeBreakRequest.objects.select_related("subject").get(pk=pk)
    keep(signature, code_break_record(made), study=centre.study, time_zone=centre.time_zone)
    outbox.queue(centre.study, letters.REQUESTED, key=f"code-break-{pk}", refs={"request": pk})
    return made
