"""What people sign in room 3, as records (`iwrs.signatures`)."""

from dispensing.models import DoseReduction
from enrolment.models import Subject
from iwrs.signatures import Record


def doses_record(subject: Subject) -> Record:
    """The dose levels of a subject so far: what the page of a reduction shows."""
    reduced = subject.dose_reductions.order_by("pk")
    return Record(
        "doses",
        subject.pk,
        {
            "subject": subject.number,
            "reductions": [[each.drug, each.level, each.reduced_on] for each in reduced],
        },
    )


def reduction_record(reduction: DoseReduction) -> Record:
    """One reduction, with its reason."""
    return Record(
        "dose reduction",
        reduction.pk,
        {
            "subject": reduction.subject.number,
            "drug": reduction.drug,
            "level": reduction.level,
            "reduced on": reduction.reduced_on,
            "reason": reduction.reason,
        },
    )
