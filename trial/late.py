"""A randomization that was made on paper while the system was down, and is entered afterwards.

Both clocks are kept: when it happened is given, when it was recorded is the database's own. It
takes the next place of the list like every other, so nobody chooses a place or a kit by entering.
The kit that the paper gave is compared with the one that the list gives, and never refused: a
refusal would say, for one kit after the other, which of them hold the treatment of the next place.
The number of the paper is compared too, and refused when it is not of the very next place: its
codes are random, so a refusal tells the order of places and nothing else.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import QuerySet

from dispensing.kit_number import fault
from dispensing.models import Kit
from dispensing.services import use_until
from dsmb.models import PaperPack
from enrolment.models import Subject
from enrolment.records import screening_record
from iwrs import clock, gate, paper_number
from iwrs.actors import Actor
from iwrs.paper_number import normalised
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Record
from iwrs.signatures.reported import is_reported
from randomization.models import LateEntry, Randomization

LONGEST = timedelta(days=7)
LONGEST_ON_PAPER = timedelta(days=90)  # with a paper number: nobody else of its order gets in
NO_NUMBER = "NONE"
MINUTE = timedelta(minutes=1)  # people give the moment without seconds


@dataclass(frozen=True)
class Late:
    """When it happened (aware), why it is entered late, and what the paper gave, if anything."""

    occurred_at: datetime
    reason: str
    paper_kit: str = ""
    paper_number: str = ""

    @property
    def number(self) -> str:
        """The paper number as it is stored, however it was typed; empty when there was none."""
        typed = normalised(self.paper_number)
        return "" if typed == NO_NUMBER else typed

    @property
    def longest(self) -> timedelta:
        """How long ago it may have happened."""
        return LONGEST_ON_PAPER if self.number else LONGEST


def require_possible(subject: Subject, late: Late) -> None:
    """Raise `Invalid` unless the subject can have been randomized then, with that kit."""
    problems = {}
    now = clock.now()
    centre = subject.centre
    if late.occurred_at > now:
        problems["occurred_at"] = "This moment is in the future."
    elif late.occurred_at < now - late.longest:
        problems["occurred_at"] = f"This is more than {late.longest.days} days ago."
    elif centre.activated_at is None or late.occurred_at < centre.activated_at:
        problems["occurred_at"] = "The centre was not active then."
    elif clock.local_date(late.occurred_at, centre.time_zone) < subject.consent_on:
        problems["occurred_at"] = "The subject had not signed the consent then."
    if not late.reason.strip():
        problems["late_reason"] = "Say why it is entered late."
    if late.paper_kit and fault(late.paper_kit):
        problems["paper_kit"] = fault(late.paper_kit)
    if late.number and paper_number.fault(late.number):
        problems["paper_number"] = paper_number.fault(late.number)
    elif late.number and not _packs(subject).filter(made_at__lt=late.occurred_at + MINUTE).exists():
        problems["paper_number"] = "There was no randomization pack then."
    elif not late.paper_number.strip() and _packs(subject).exists():
        # A number left out by mistake would take the place that the paper gave to somebody else.
        problems["paper_number"] = (
            "This study has randomization packs: give the paper number, or write none when the "
            "emergency holder told none."
        )
    if problems:
        raise Invalid(problems)


def _packs(subject: Subject) -> QuerySet[PaperPack]:
    return PaperPack.objects.filter(study=subject.study)


def require_next_on_paper(subject: Subject, number: str, *, on: date) -> None:
    """Raise `Problem` unless the paper gave the very next place of the stratum and of the cover.

    Within the act, just before the place is taken; `on` is the day on which the paper gave it.
    """
    place, cover = paper_number.parts(number)
    until = use_until(subject.study.definition, on)
    wrong = gate.call("next_on_paper", subject.pk, place, cover, until)
    if not wrong:
        return
    if wrong == "unknown":
        raise Problem(
            code="paper_unknown",
            title=f"Paper number {number} is not one of this subject's stratum and centre.",
            action="Nothing was saved. Compare the number with what was written down, and the "
            "answers for the strata with those told on the telephone. If both are right, the list "
            "or the centre's kits changed since: ask the study manager, who asks the unblinded "
            "statistician to accept the number.",
            errors={"paper_number": "No pack has this number for the stratum and the centre."},
        )
    where = "stratum" if wrong == "stratum" else "centre's kits"
    raise Problem(
        code="paper_not_next",
        title=f"Paper number {number} is not the next one of the {where}.",
        action="Nothing was saved. Enter the subjects of your centre in the order of the paper. "
        "If you did, another centre may have to enter a subject first: try again later. If it is "
        "refused again, ask the study manager, who asks the unblinded statistician to accept the "
        "number.",
        errors={"paper_number": "This number is not the next one."},
    )


def record_late(
    randomization: Randomization, late: Late, kit: Kit | None, *, by: Actor, at: datetime
) -> LateEntry:
    """Keep that the randomization was entered late, `at` a business moment; part of an open act."""
    return LateEntry.objects.create(
        randomization=randomization,
        reason=late.reason.strip(),
        paper_kit=late.paper_kit,
        paper_number=late.number,
        kit_differs=late.paper_kit not in ("", kit.number if kit else ""),
        entered_by=by.label,
        entered_at=at,
    )


def late_record(entry: LateEntry) -> Record:
    """A randomization of an outage, as it was entered. One that an EDC system entered names the
    system and the moment.
    """
    randomization = entry.randomization
    facts: dict[str, object] = {
        **screening_record(randomization.subject).facts,
        "number": randomization.number,
        "randomized at": randomization.occurred_at,
        "reason": entry.reason,
        # As signed before papers had numbers, where there is none.
        **({"paper number": entry.paper_number} if entry.paper_number else {}),
        "kit by the paper": entry.paper_kit,
        "kit differs": entry.kit_differs,
    }
    if is_reported(randomization.by):
        facts |= {"recorded by": randomization.by, "entered at": entry.entered_at}
    return Record("late randomization", entry.pk, facts)
