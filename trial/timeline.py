"""What happened to one subject, in order. Blinded facts only."""

from dataclasses import dataclass
from datetime import date, datetime

from assessments.models import TumourRead, Visit
from dispensing.models import Dispensation
from dispensing.services import first_dose_of
from enrolment.models import Subject
from iwrs import clock
from iwrs.definition import StudyDefinition
from randomization.models import CodeBreakRequest
from randomization.reasons import REASONS


@dataclass(frozen=True)
class Happening:
    """One line of the timeline. `order` keeps the course of one day in sequence."""

    on: date
    order: int
    text: str


def timeline(
    subject: Subject, definition: StudyDefinition, *, code_breaks: bool
) -> list[Happening]:
    """Everything recorded of a subject, oldest first; code breaks for those who may know."""
    lines = [*_enrolled(subject, definition), *_supplied(subject, definition)]
    lines += _assessed(subject)
    if code_breaks:
        lines += [
            Happening(_day(subject, _broken_at(each)), 9, f"{_broken_by(each)}. {_reason(each)}")
            for each in subject.code_breaks.filter(revealed_at__isnull=False)
        ]
    return sorted(lines, key=lambda each: (each.on, each.order))


def _day(subject: Subject, moment: object) -> date:
    return clock.local_date(moment, subject.centre.time_zone)  # type: ignore[arg-type]


def _broken_at(each: CodeBreakRequest) -> datetime:
    """When it was asked for by the database's clock; of a pack, when it was opened."""
    return each.revealed_at if each.opened_by and each.revealed_at else each.requested_at


def _broken_by(each: CodeBreakRequest) -> str:
    return each.said if each.opened_by else f"Code break by {each.requested_by}"


def _reason(each: CodeBreakRequest) -> str:
    return REASONS.get(each.reason, each.reason)


def _enrolled(subject: Subject, definition: StudyDefinition) -> list[Happening]:
    questions = {each.key: each.question for each in definition.eligibility}
    lines = [
        Happening(subject.consent_on, 0, "Consent signed"),
        Happening(_day(subject, subject.screened_at), 1, "Screened"),
    ]
    for each in subject.deviations.all():
        question = questions.get(each.question, each.question)
        asked = f"Deviation asked for: {question}"
        lines.append(Happening(_day(subject, each.requested_at), 2, asked))
        if each.approved_at:
            approved = f"Deviation approved by {each.approved_by}: {question}"
            lines.append(Happening(_day(subject, each.approved_at), 2, approved))
    if subject.status == Subject.Status.SCREEN_FAILED and subject.decided_at:
        text = f"Screen failure: {subject.failure_reason}"
        lines.append(Happening(_day(subject, subject.decided_at), 3, text))
    if subject.randomized_at:
        lines.append(Happening(_day(subject, subject.randomized_at), 3, "Randomized"))
        lines += _marked(subject)
    return lines


def _marked(subject: Subject) -> list[Happening]:
    """What was wrong with the randomization."""
    mark = getattr(subject.randomization, "in_error", None)
    late = getattr(subject.randomization, "late_entry", None)
    lines = [
        Happening(_day(subject, each.verified_at), 9, f"Verified stratum recorded: {each.reason}")
        for each in subject.randomization.verified_strata.all()
    ]
    if late:
        text = f"The randomization of that day was entered: {late.reason}"
        lines.append(Happening(_day(subject, late.entered_at), 9, text))
    if mark:
        text = f"Marked as randomized in error: {mark.reason}"
        lines.append(Happening(_day(subject, mark.marked_at), 9, text))
    return lines


def _supplied(subject: Subject, definition: StudyDefinition) -> list[Happening]:
    lines = []
    for each in subject.dispensations.all():
        if each.kit and each.assigned_at:
            assigned = _day(subject, each.assigned_at)
            lines.append(Happening(assigned, 4, f"Kit {each.kit.grouped} assigned"))
            if each.status == Dispensation.Status.HANDED_OVER and each.handed_over_on:
                text = f"Kit {each.kit.grouped} handed over"
                lines.append(Happening(each.handed_over_on, 5, text))
    first = first_dose_of(subject)
    if first:
        lines.append(Happening(first.taken_on, 6, "First dose of the blinded drug"))
    levels = {each.key: each.label for each in definition.dose_levels}
    for lower in subject.dose_reductions.all():
        text = f"Dose reduced to {levels.get(lower.level, lower.level)}: {lower.reason}"
        lines.append(Happening(lower.reduced_on, 7, text))
    drugs = {each.key: each for each in definition.drugs}
    for stop in subject.drug_stops.all():
        reasons = {each.key: each.label for each in drugs[stop.drug].stop_reasons}
        text = f"{drugs[stop.drug].label} stopped: {reasons.get(stop.reason, stop.reason)}"
        lines.append(Happening(stop.stopped_on, 7, text))
    return lines


def _assessed(subject: Subject) -> list[Happening]:
    lines = [
        Happening(each.done_on, 3, f"Visit {each.number} done")
        for each in subject.visits.all()
        if each.done_on
    ]
    lines += [
        Happening(each.window_to, 3, f"Visit {each.number} missed")
        for each in subject.visits.all()
        if each.status == Visit.Status.MISSED
    ]
    for read in subject.reads.all():
        reader = "Central read" if read.reader == TumourRead.Reader.CENTRAL else "Local read"
        text = f"{reader} of the scan: {read.get_response_display()}"
        lines.append(Happening(read.assessed_on, 4, text))
    for event in subject.events.all():
        detail = f": {event.detail}" if event.detail else ""
        lines.append(Happening(event.occurred_on, 8, f"{event.get_kind_display()}{detail}"))
    for made in subject.corrections.all():
        what = "taken back" if made.in_error else "corrected"
        text = f"{made.name}: {what}. {made.reason}"
        lines.append(Happening(_day(subject, made.corrected_at), 9, text))
    lines += [Happening(each.contact_on, 2, "Known to be alive") for each in subject.contacts.all()]
    return lines
