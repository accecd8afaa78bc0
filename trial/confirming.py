"""What came over the API waits until an investigator of the centre confirms it by signature."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, OuterRef, Q
from django.urls import reverse

from dispensing.models import DoseReduction
from enrolment.models import Subject
from enrolment.records import screening_record
from iwrs import clock
from iwrs.actors import CLIENT, Actor
from iwrs.acts import act
from iwrs.locks import lock
from iwrs.problems import Problem
from iwrs.signatures import Record, Signature
from iwrs.signatures.reported import is_reported, require_waiting
from iwrs.signatures.services import keep, require_shown
from iwrs.templatetags.portal import day
from randomization.models import Randomization
from trial.late import late_record


@dataclass(frozen=True)
class Unconfirmed:
    """One record of an EDC system that nobody has signed. `address` is where it is confirmed."""

    subject: Subject
    what: str
    recorded_by: str
    recorded_at: datetime
    address: str


def confirm_randomization(subject: Subject, *, by: Actor, signature: Signature) -> Randomization:
    """Confirm by signature that a randomization was made as the EDC system recorded it.

    Raises `Problem` when the subject is not randomized, when a person did it on the portal, and
    when it is confirmed already. Nothing else changes: what was recorded counted from the start.
    """
    with act("confirm randomization", by=by, why=signature.meaning):
        subject = lock(Subject.objects.select_related("centre", "study"), subject.pk)
        rows = Randomization.objects.select_related("late_entry")
        made = rows.filter(subject=subject).first()
        if made is None:
            raise Problem(
                code="not_randomized",
                title=f"Subject {subject.number} is not randomized.",
                action="There is nothing to confirm.",
            )
        made.subject = subject
        require_waiting(made.by, made.confirmed_at)
        record = randomized_record(subject)
        require_shown(signature, record)
        made.confirmed_at = clock.now()
        made.save(update_fields=["confirmed_at"])
        keep(signature, record, study=subject.study, time_zone=subject.centre.time_zone)
        return made


def randomized_record(subject: Subject) -> Record:
    """The record that a signature of a randomization is about, before and after the act.

    On the portal the answers are signed, then comes the number. What an EDC system recorded is
    signed afterwards, so its number, its moment and who recorded it are signed as well.
    """
    record = screening_record(subject)
    if subject.randomized_at is None or not is_reported(subject.randomization.by):
        return record
    made = subject.randomization
    if hasattr(made, "late_entry"):
        return late_record(made.late_entry)
    return Record(
        record.kind,
        record.pk,
        {
            **record.facts,
            "number": made.number,
            "randomized at": made.occurred_at,
            "recorded by": made.by,
        },
    )


def unconfirmed_of(subject: Subject) -> list[Unconfirmed]:
    """What waits for one subject; its randomization and dose reductions may be prefetched."""
    made = [subject.randomization] if subject.randomized_at else []
    return _in_words(made, subject.dose_reductions.all())


def with_something_unconfirmed() -> Q:
    """Subjects with a record that waits to be confirmed."""
    made = Randomization.objects.filter(
        subject=OuterRef("pk"), by__startswith=CLIENT, confirmed_at=None
    )
    reductions = DoseReduction.objects.filter(
        subject=OuterRef("pk"), recorded_by__startswith=CLIENT, confirmed_at=None
    )
    return Q(Exists(made)) | Q(Exists(reductions))


def unconfirmed_at(centres: Iterable[int]) -> list[Unconfirmed]:
    """What waits at centres, by their keys, the oldest first; two queries."""
    centres = list(centres)
    made = Randomization.objects.filter(
        subject__centre__in=centres, by__startswith=CLIENT, confirmed_at=None
    )
    reductions = DoseReduction.objects.filter(
        subject__centre__in=centres, recorded_by__startswith=CLIENT, confirmed_at=None
    )
    return _in_words(made.select_related("subject"), reductions.select_related("subject"))


def _in_words(
    made: Iterable[Randomization], reductions: Iterable[DoseReduction]
) -> list[Unconfirmed]:
    found = [
        Unconfirmed(
            each.subject,
            "Randomization",
            each.by,
            each.recorded_at,
            reverse("confirm-randomization", args=[each.subject_id]),
        )
        for each in made
        if is_reported(each.by) and each.confirmed_at is None
    ]
    found += [
        Unconfirmed(
            each.subject,
            f"Dose reduction of {day(each.reduced_on)}",
            each.recorded_by,
            each.recorded_at,
            reverse("confirm-reduction", args=[each.subject_id, each.level]),
        )
        for each in reductions
        if is_reported(each.recorded_by) and each.confirmed_at is None
    ]
    return sorted(found, key=lambda each: each.recorded_at)
