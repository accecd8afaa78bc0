"""Accepting what a subject was told on paper, when the system refuses the paper number.

The pack was too old, accrual was not paused, a call was abandoned after the pack was made, or one
of those before never comes in: then the told place is not the next one, and no order of entering
helps. An unblinded statistician looks at the log of the desk and accepts the number. The subject
then gets the told place, which is passed over for everybody else; or, if somebody has it already
or it is of another list or stratum, its arm on the next place. And the kit that was told, if its
line served nobody. Both are bound to this subject here, in an act of its own: the gates give nobody
else that place and that kit, and asking them again tells nothing new (docs/blinding.md).
"""

from dataclasses import dataclass
from itertools import product

from django.db import connection

from dispensing.models import Kit
from dispensing.unblinded.models import CentreCalls, CoverKit, KitAssignment, PaperKit
from dsmb.unblinded.models import PaperCover, PaperPlace
from enrolment.models import Subject
from iwrs import paper_number
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.models import Study
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Record, Signature
from iwrs.signatures.services import keep, require_shown
from randomization.unblinded.forced import hold_waiting
from randomization.unblinded.models import ForcedAllocation, ListEntry, RandomizationList
from randomization.unblinded.records import waiting_record


@dataclass(frozen=True)
class Told:
    """What a paper number says: a place of a list, and a line of a centre's cover."""

    entry: ListEntry
    line: PaperCover

    @property
    def kit(self) -> Kit | None:
        """The kit that the line has for the arm of the place. A newer line has none of an arm that
        was dropped.
        """
        line, arm = self.line, self.entry.arm
        found = CoverKit.objects.filter(cohort=line.cohort_id, position=line.position, arm=arm)
        kept = found.select_related("kit").first()
        return kept.kit if kept else None


@dataclass(frozen=True)
class Accepted:
    """A paper number that was accepted, and the number of the kit kept for it, if any."""

    made: ForcedAllocation
    kit: str

    @property
    def record(self) -> Record:
        """As it was signed."""
        return accepted_record(self.made, self.kit)


def accepted(study: Study, *, most: int) -> list[Accepted]:
    """The newest of the numbers that were accepted, in two queries."""
    rows = ForcedAllocation.objects.filter(study=study).exclude(paper_number="")
    told = list(rows.select_related("subject", "told_entry__list").order_by("-forced_at")[:most])
    kits = PaperKit.objects.filter(subject__in=[each.subject_id for each in told])
    numbers = dict(kits.values_list("subject_id", "kit__number"))
    return [Accepted(each, numbers.get(each.subject_id, "")) for each in told]


def accept_paper(
    subject: Subject, number: str, kit: str, *, by: Actor, why: str, signature: Signature
) -> ForcedAllocation:
    """Let a subject be entered with a paper number that is not the next one.

    `kit` is the kit number in the log of the desk; empty when none was handed out, and then the
    subject gets the next one of the centre. Raises `Invalid` for what no pack of the study told,
    and `Problem` when the subject does not wait, when no list is in use or it has no such arm, and
    when a kit of the line was given to somebody in the system.
    """
    number, kit = paper_number.normalised(number), "".join(kit.split())
    _require_typed(number, why)
    study = subject.study
    with act("accept paper number", by=by, why=why.strip()):
        subject = hold_waiting(subject)
        require_shown(signature, waiting_record(subject))
        told = _told(subject, number, kit)
        _require_arm_in_use(study, told.entry.arm)
        # As in gate.assign_kit: nobody takes a line of the centre meanwhile.
        CentreCalls.objects.select_for_update().get(centre=subject.centre)
        made = ForcedAllocation.objects.create(
            subject=subject,
            study=study,
            arm=told.entry.arm,
            told_entry=told.entry,
            paper_number=number,
            reason=why.strip(),
            forced_by=by.label,
        )
        if kit and told.kit:
            _require_free(told.line)
            PaperKit.objects.create(subject=subject, kit=told.kit)
        keep(signature, accepted_record(made, kit), study=study)
        _use_up(told.line)  # last: it stays, also when the act is refused
        return made


def accepted_record(made: ForcedAllocation, kit: str) -> Record:
    """A paper number that was accepted, the place that it told, the kit kept for it, and why."""
    entry = made.told_entry
    assert entry is not None
    return Record(
        "accepted paper number",
        made.pk,
        {
            "subject": made.subject.number,
            "paper number": made.paper_number,
            "list": entry.list.number,
            "stratum of the place": entry.stratum_key,
            "place": entry.position,
            "arm": made.arm,
            "kit": kit,
            "reason": made.reason,
            "accepted by": made.forced_by,
        },
    )


def _require_typed(number: str, why: str) -> None:
    wrong = {}
    if fault := paper_number.fault(number):
        wrong["paper_number"] = fault
    if not why.strip():
        wrong["why"] = "Say what the log of the desk shows, and why it is accepted."
    if wrong:
        raise Invalid(wrong)


def _told(subject: Subject, number: str, kit: str) -> Told:
    """The place and the line of a number. Codes are random and short: of two that have the same,
    those of the subject's stratum come first, and newer ones; the kit tells the right pair.
    """
    place, cover = paper_number.parts(number)
    places = PaperPlace.objects.filter(code=place, entry__list__study=subject.study)
    entries = [each.entry for each in places.select_related("entry__list").order_by("-pk")]
    entries.sort(key=lambda entry: entry.stratum_key != subject.stratum_key)
    lines = PaperCover.objects.filter(code=cover, cohort__centre=subject.centre)
    pairs = [Told(*pair) for pair in product(entries, lines.order_by("-pk"))]
    if not pairs:
        half = "first" if not entries else "second"
        of = "of the study's strata" if not entries else "of this centre's kits"
        raise Invalid({"paper_number": f"No pack has the {half} half of this number {of}."})
    for each in pairs:
        if not kit or (each.kit and each.kit.number == kit):
            return each
    raise Invalid({"kit": "This is not the kit of the told treatment in the told line."})


def _require_arm_in_use(study: Study, arm: str) -> None:
    used = RandomizationList.objects.filter(
        study=study, status=RandomizationList.Status.ACTIVE
    ).first()
    if used is None:
        raise Problem(code="no_list_in_use", title="No randomization list is in use.")
    if used.dynamic or arm not in [code for code, _ in used.design["arms"]]:
        raise Problem(
            code="told_arm_not_in_list",
            title=f"List {used.number}, which is in use now, cannot give the told arm.",
            action="Ask the sponsor how the subject is recorded. Tell the centre this alone: that "
            "the sponsor decides. Which numbers cannot be accepted would tell who has that arm.",
        )


def _require_free(line: PaperCover) -> None:
    """Of all kits of the line, not of one: else what happens would hang on the arm."""
    kits = CoverKit.objects.filter(cohort=line.cohort, position=line.position).values("kit")
    if (
        KitAssignment.objects.filter(kit__in=kits).exists()
        or PaperKit.objects.filter(kit__in=kits).exists()
    ):
        raise Problem(
            code="line_served",
            title="A kit of this line was given to another subject in the system.",
            action="Leave the kit empty: the subject then gets the centre's next kit of the told "
            "arm in the system. Tell the centre to hand out no other.",
        )


def _use_up(line: PaperCover) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT unblinded.use_up_cover(%s, %s)", [line.cohort_id, line.position])
