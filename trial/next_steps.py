"""What a person can do next for one subject: by state of the subject and by role."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from django.urls import reverse

from assessments.models import SubjectEvent
from assessments.services import OPEN
from dispensing.doses import next_level
from dispensing.models import Dispensation
from dispensing.services import first_dose_of
from enrolment.models import Subject
from enrolment.rescreening import may_be_screened_again
from iwrs.definition import StudyDefinition
from iwrs.permissions import Act

LAST = {SubjectEvent.Kind.WITHDRAWAL, SubjectEvent.Kind.LOST, SubjectEvent.Kind.DEATH}


@dataclass(frozen=True)
class Step:
    """A link to one act. `now` steps stand first, as big buttons."""

    label: str
    address: str
    now: bool = False
    grave: bool = False


def next_steps(
    subject: Subject, definition: StudyDefinition, may: set[Act], today: date
) -> list[Step]:
    """Acts that are open now, the most likely one first."""
    if subject.status == Subject.Status.RANDOMIZED:
        return [
            *(_supply(subject, today) if Act.DISPENSE in may else []),
            *(_course(subject, definition, today) if Act.RECORD_COURSE in may else []),
            *(_doses(subject, definition) if Act.REDUCE_DOSE in may else []),
            *_others(subject, may),
        ]
    if subject.status == Subject.Status.SCREEN_FAILED:
        again = Act.SCREEN in may and may_be_screened_again(subject)
        return [Step("Screen the subject again", _to("rescreen", subject))] if again else []
    return list(_screening(subject, definition, may))


def _to(name: str, subject: Subject, *more: object) -> str:
    return reverse(name, args=[subject.pk, *more])


def _screening(subject: Subject, definition: StudyDefinition, may: set[Act]) -> Iterator[Step]:
    if subject.status == Subject.Status.ELIGIBLE and Act.RANDOMIZE in may:
        yield Step("Randomize", _to("randomize", subject), now=True)
        yield Step("Enter a randomization made on paper", _to("randomize-late", subject))
    requested = {each.question: each for each in subject.deviations.all()}
    for each in requested.values():
        if each.approved_at is None and Act.APPROVE_DEVIATION in may:
            address = reverse("approve-deviation", args=[each.pk])
            yield Step("Decide on the deviation asked for", address, now=True)
    if Act.SCREEN in may:
        first = subject.status == Subject.Status.SCREENING
        yield Step("Change screening answers", _to("change-answers", subject), now=first)
    answers = {each.question: each.answer for each in subject.eligibility.all()}
    open_to_deviation = [
        each
        for each in definition.eligibility
        if each.deviation_allowed
        and each.key not in requested
        and answers.get(each.key) != ("yes" if each.kind == "include" else "no")
    ]
    if open_to_deviation and Act.REQUEST_DEVIATION in may:
        yield Step("Ask for a deviation", _to("ask-deviation", subject))
    if Act.SCREEN in may:
        yield Step("Record a screen failure", _to("screen-failure", subject), grave=True)


def _supply(subject: Subject, today: date) -> Iterator[Step]:
    handed_over = False
    for each in subject.dispensations.all():
        at = reverse("hand-over", args=[each.pk])
        if each.status == Dispensation.Status.ASSIGNED and each.kit:
            yield Step(f"Record that kit {each.kit.grouped} was handed over", at, now=True)
        elif each.status == Dispensation.Status.PLANNED and each.earliest_on <= today:
            name = f"visit {each.number}" if each.number else "randomization"
            address = reverse("assign-kit", args=[each.pk])
            yield Step(f"Assign the kit of {name}", address, now=True)
        handed_over = handed_over or each.status == Dispensation.Status.HANDED_OVER
    if handed_over and first_dose_of(subject) is None:
        yield Step("Record the first dose", _to("first-dose", subject), now=True)


def _course(subject: Subject, definition: StudyDefinition, today: date) -> Iterator[Step]:
    kinds = {each.kind for each in subject.events.all()}
    waiting = [each for each in subject.visits.all() if each.status in OPEN]
    if waiting:
        visit = min(waiting, key=lambda each: each.number)
        due = visit.window_from <= today
        record = reverse("record-visit", args=[visit.pk])
        miss = reverse("miss-visit", args=[visit.pk])
        yield Step(f"Record visit {visit.number}", record, now=due)
        if due:
            yield Step(f"Visit {visit.number} did not take place", miss)
    stopped = {each.drug for each in subject.drug_stops.all()}
    for drug in definition.drugs:
        if drug.key not in stopped:
            yield Step(f"Stop {drug.label}", _to("stop-drug", subject, drug.key))
    if SubjectEvent.Kind.DEATH in kinds:
        return
    yield Step("Record the last contact", _to("contact", subject))
    for kind in SubjectEvent.Kind:
        ended = kind != SubjectEvent.Kind.DEATH and kinds & LAST
        if kind not in kinds and not ended:
            grave = kind != SubjectEvent.Kind.NEW_THERAPY
            yield Step(f"Record: {kind.label}", _to("event", subject, kind.value), grave=grave)


def _doses(subject: Subject, definition: StudyDefinition) -> Iterator[Step]:
    stopped = {each.drug for each in subject.drug_stops.all()}
    for drug in definition.drugs:
        if drug.key not in stopped and next_level(subject, drug.key):
            yield Step(f"Reduce the dose of {drug.label}", _to("reduce-dose", subject, drug.key))


def _others(subject: Subject, may: set[Act]) -> Iterator[Step]:
    if Act.CORRECT in may:
        if subject.strata:
            yield Step("Record the verified stratum", _to("verify-stratum", subject))
        if not hasattr(subject.randomization, "in_error"):
            text = "Mark as randomized in error"
            yield Step(text, _to("mark-in-error", subject), grave=True)
    if Act.RECORD_CENTRAL_READ in may:
        yield Step("Record a central read", _to("central-read", subject))
    if Act.BREAK_CODE in may:
        yield Step("Break the code", _to("ask-code-break", subject), grave=True)
