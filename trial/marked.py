"""What the subject's page shows of a randomization that was wrong, or entered late."""

from enrolment.models import Subject
from iwrs.definition import StudyDefinition
from iwrs.signatures import Record
from randomization.marks import levels_now, mark_record, stratum_record
from trial.late import late_record


def marks_signed(subject: Subject) -> list[Record]:
    """What was signed about a randomization that was wrong."""
    if subject.randomized_at is None:
        return []
    marked = subject.randomization
    records = [stratum_record(each) for each in marked.verified_strata.all()]
    records += [mark_record(marked.in_error)] if hasattr(marked, "in_error") else []
    return records + ([late_record(marked.late_entry)] if hasattr(marked, "late_entry") else [])


def verified_as_read(subject: Subject, definition: StudyDefinition) -> list[tuple[str, str, str]]:
    """(question, answer used, answer verified) of each factor whose verified answer differs."""
    if subject.randomized_at is None:
        return []
    now = levels_now(subject.randomization)
    rows = []
    for factor in definition.factors:
        labels = {each.key: each.label for each in factor.levels}
        used = subject.strata[factor.key]
        if now[factor.key] != used:
            rows.append((factor.question, labels[used], labels[now[factor.key]]))
    return rows
