"""A randomization that was made on paper while the system was down, and is entered afterwards.

Both clocks are kept: when it happened is given, when it was recorded is the database's own. It
takes the next place of the list like every other, so nobody chooses a place or a kit by entering.
The kit that the paper gave is compared with the one that the list gives, and never refused: a
refusal would say, for one kit after the other, which of them hold the treatment of the next place.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from dispensing.kit_number import fault
from dispensing.models import Kit
from enrolment.models import Subject
from enrolment.records import screening_record
from iwrs import clock
from iwrs.actors import Actor
from iwrs.problems import Invalid
from iwrs.signatures import Record
from randomization.models import LateEntry, Randomization

LONGEST = timedelta(days=7)


@dataclass(frozen=True)
class Late:
    """When it happened (aware), why it is entered late, and the kit of the paper, if any."""

    occurred_at: datetime
    reason: str
    paper_kit: str = ""


def require_possible(subject: Subject, late: Late) -> None:
    """Raise `Invalid` unless the subject can have been randomized then, with that kit."""
    problems = {}
    now = clock.now()
    centre = subject.centre
    if late.occurred_at > now:
        problems["occurred_at"] = "This moment is in the future."
    elif late.occurred_at < now - LONGEST:
        problems["occurred_at"] = f"This is more than {LONGEST.days} days ago."
    elif centre.activated_at is None or late.occurred_at < centre.activated_at:
        problems["occurred_at"] = "The centre was not active then."
    elif clock.local_date(late.occurred_at, centre.time_zone) < subject.consent_on:
        problems["occurred_at"] = "The subject had not signed the consent then."
    if not late.reason.strip():
        problems["late_reason"] = "Say why it is entered late."
    if late.paper_kit and fault(late.paper_kit):
        problems["paper_kit"] = fault(late.paper_kit)
    if problems:
        raise Invalid(problems)


def record_late(
    randomization: Randomization, late: Late, kit: Kit | None, *, by: Actor, at: datetime
) -> LateEntry:
    """Keep that the randomization was entered late, `at` a business moment; part of an open act."""
    return LateEntry.objects.create(
        randomization=randomization,
        reason=late.reason.strip(),
        paper_kit=late.paper_kit,
        kit_differs=late.paper_kit not in ("", kit.number if kit else ""),
        entered_by=by.label,
        entered_at=at,
    )


def late_record(entry: LateEntry) -> Record:
    """A randomization of an outage, as it was entered."""
    randomization = entry.randomization
    return Record(
        "late randomization",
        entry.pk,
        {
            **screening_record(randomization.subject).facts,
            "number": randomization.number,
            "randomized at": randomization.occurred_at,
            "reason": entry.reason,
            "kit by the paper": entry.paper_kit,
            "kit differs": entry.kit_differs,
        },
    )
