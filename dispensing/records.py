"""What people sign in room 3, as records (`iwrs.signatures`)."""

from dispensing.models import DoseReduction
from enrolment.models import Subject
from iwrs.signatures import Record
from iwrs.signatures.reported import is_reported


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
    """One reduction, with its reason. One that an EDC system recorded names it, and the moment."""
    facts: dict[str, object] = {
        "subject": reduction.subject.number,
        "drug": reduction.drug,
        "level": reduction.level,
        "reduced on": reduction.reduced_on,
        "reason": reduction.reason,
    }
    if is_reported(reduction.recorded_by):
        facts |= {"recorded by": reduction.recorded_by, "recorded at": reduction.recorded_at}
    return Record("dose reduction", reduction.pk, facts)
