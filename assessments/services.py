"""The verbs of room 4: the schedule, visits, tumour reads, events."""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from django.db.models import Count, Max, Q

from assessments.models import Contact, SubjectEvent, TumourRead, Visit
from assessments.schedule import planned_visits
from dispensing.models import Dispensation, FirstDose
from dispensing.services import (
    cancel_planned,
    plan_dispensation,
    randomized_on,
    require_randomized,
    takes_blinded_drug,
)
from enrolment.models import Subject
from iwrs import clock
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.locks import lock
from iwrs.problems import Invalid, Problem

CORRECT_IT = "If it is wrong, choose 'Recorded facts' on the subject's page, and correct it there."
OPEN = (Visit.Status.PLANNED, Visit.Status.DUE, Visit.Status.OVERDUE)


@dataclass(frozen=True)
class Plan:
    """Visits ahead and the dispensations that go with them, in order."""

    visits: list[Visit]
    dispensations: list[Dispensation]


def create_schedule(subject: Subject, *, anchor: date) -> Plan:
    """Store the first visits and their dispensations, within the act of randomization.

    `anchor` is the day of randomization where the centre is. The first dispensation is the one at
    randomization, due at once.
    """
    schedule = subject.study.definition.schedule
    plan = _planned(subject, anchor, 1, schedule.plan_ahead, with_drug=True)
    if schedule.dispenses_at_randomization:
        plan.dispensations.insert(0, plan_dispensation(subject, 0, anchor, anchor))
    return _stored(plan)


def extend_schedule(subject: Subject) -> None:
    """Keep the planned number of visits ahead, within an open act that closed one."""
    schedule = subject.study.definition.schedule
    still_open = Count("pk", filter=Q(status__in=OPEN))
    found = subject.visits.aggregate(ahead=still_open, last=Max("number"))
    missing = schedule.plan_ahead - found["ahead"]
    if missing > 0:
        last = found["last"] or 0
        _stored(
            _planned(
                subject,
                randomized_on(subject),
                last + 1,
                last + missing,
                with_drug=takes_blinded_drug(subject),
            )
        )


def record_visit(
    visit: Visit,
    *,
    by: Actor,
    on: date,
    local_response: str = "",
    ecog: int | None = None,
    quality_of_life: Decimal | None = None,
) -> Visit:
    """Record that a visit took place, with the investigator's overall response if there is one.

    A progression ends the six-weekly schedule; everything else plans the next visit. The day may
    lie outside the window, but not nearer to the visit before than to this one.
    """
    with act("record visit", by=by):
        subject = _locked_subject(visit.subject_id)
        visit = lock(Visit.objects, visit.pk)
        if visit.status not in OPEN:
            raise Problem(
                code="visit_closed",
                title=f"Visit {visit.number} is already closed.",
                action=f"Its state is: {visit.get_status_display()}.",
            )
        if ecog is not None and ecog not in range(6):
            raise Invalid({"ecog": "Give a whole number from 0 to 5."})
        _require_day(subject, on)
        _require_place_in_order(subject, visit, on)
        visit.status = Visit.Status.DONE
        visit.done_on = on
        visit.ecog = ecog
        visit.quality_of_life = quality_of_life
        visit.save(update_fields=["status", "done_on", "ecog", "quality_of_life"])
        if local_response:
            _read(subject, TumourRead.Reader.LOCAL, on, local_response, on, by, visit)
        if local_response == TumourRead.Response.PD:
            end_schedule(subject)
        else:
            extend_schedule(subject)
        return visit


def miss_visit(visit: Visit, *, by: Actor, why: str) -> Visit:
    """Record that a visit did not take place; the next one stays where it is."""
    if not why.strip():
        raise Invalid({"why": "Say why the visit did not take place."})
    with act("miss visit", by=by, why=why):
        subject = _locked_subject(visit.subject_id)
        visit = lock(Visit.objects, visit.pk)
        if visit.status not in OPEN:
            raise Problem(code="visit_closed", title=f"Visit {visit.number} is already closed.")
        visit.status = Visit.Status.MISSED
        visit.save(update_fields=["status"])
        extend_schedule(subject)
        return visit


def record_read(
    subject: Subject, reader: str, *, by: Actor, assessed_on: date, response: str, read_on: date
) -> TumourRead:
    """Record the overall response that one reader gave for the scan of one day."""
    with act("record tumour read", by=by):
        subject = _locked_subject(subject.pk)
        problems = {}
        if reader not in TumourRead.Reader.values:
            problems["reader"] = f"Choose one of: {', '.join(TumourRead.Reader.values)}."
        if response not in TumourRead.Response.values:
            problems["response"] = f"Choose one of: {', '.join(TumourRead.Response.values)}."
        if read_on < assessed_on:
            problems["read_on"] = "A scan cannot be read before it was made."
        if problems:
            raise Invalid(problems)
        _require_day(subject, assessed_on, field="assessed_on")
        if read_on > clock.today(subject.centre.time_zone):
            raise Invalid({"read_on": "This day is in the future."})
        visit = subject.visits.filter(done_on=assessed_on).first()
        read = _read(subject, reader, assessed_on, response, read_on, by, visit)
        if reader == TumourRead.Reader.LOCAL and response == TumourRead.Response.PD:
            end_schedule(subject)
        return read


def record_event(
    subject: Subject, kind: str, *, by: Actor, on: date, detail: str = ""
) -> SubjectEvent:
    """Record a new therapy, a withdrawal, a loss to follow-up or a death. Each happens once."""
    with act(f"record {kind}", by=by):
        subject = _locked_subject(subject.pk)
        if kind not in SubjectEvent.Kind.values:
            raise Invalid({"kind": f"Choose one of: {', '.join(SubjectEvent.Kind.values)}."})
        if subject.events.filter(kind=kind).exists():
            raise Problem(
                code="event_known",
                title=f"{SubjectEvent.Kind(kind).label} is already recorded for this subject.",
                action=CORRECT_IT,
            )
        _require_day(subject, on, after_death=kind != SubjectEvent.Kind.DEATH)
        if kind == SubjectEvent.Kind.DEATH:
            _refuse("on", wrong_death(subject, on))
        event = SubjectEvent.objects.create(
            subject=subject, kind=kind, occurred_on=on, detail=detail, recorded_by=by.label
        )
        if kind != SubjectEvent.Kind.NEW_THERAPY:
            end_schedule(subject)
            subject.ended_on = min(subject.ended_on or on, on)
            subject.save(update_fields=["ended_on"])
        return event


def record_contact(subject: Subject, *, by: Actor, on: date) -> Contact:
    """Record a day on which the subject was known to be alive."""
    with act("record contact", by=by):
        subject = _locked_subject(subject.pk)
        _require_day(subject, on)
        contact, _ = Contact.objects.get_or_create(
            subject=subject, contact_on=on, defaults={"recorded_by": by.label}
        )
        return contact


def end_schedule(subject: Subject) -> None:
    """Close the visits still ahead and their dispensations, within an open act.

    A subject is treated until progression: no kit is planned for anyone who has no visits.
    """
    subject.visits.filter(status__in=OPEN).update(status=Visit.Status.CANCELLED)
    cancel_planned(subject)


def settle(subject: Subject) -> None:
    """Bring the end of participation, the visits and the kits in line with the facts that stand.

    Within an open act that corrected one. Visits that were given up are planned again when nothing
    that stands ends them any more; the daily sweep finds those that are due.
    """
    events = subject.events.exclude(kind=SubjectEvent.Kind.NEW_THERAPY)
    ended = min((each.occurred_on for each in events), default=None)
    if ended != subject.ended_on:
        subject.ended_on = ended
        subject.save(update_fields=["ended_on"])
    progressed = subject.reads.filter(
        reader=TumourRead.Reader.LOCAL, response=TumourRead.Response.PD
    )
    if ended or progressed.exists():
        end_schedule(subject)
    else:
        subject.visits.filter(status=Visit.Status.CANCELLED).update(status=Visit.Status.PLANNED)
        _settle_kits(subject)
        extend_schedule(subject)


def _settle_kits(subject: Subject) -> None:
    """Plan a kit for each open visit, and for the last one done, while the blinded drug is taken;
    none afterwards. A kit that was given up at the last visit is still owed.
    """
    if not takes_blinded_drug(subject):
        cancel_planned(subject)
        return
    last = subject.visits.filter(status=Visit.Status.DONE).order_by("-number").first()
    served = subject.visits.filter(Q(status__in=OPEN) | Q(pk=last.pk if last else None))
    Dispensation.objects.filter(visit__in=served, status=Dispensation.Status.CANCELLED).update(
        status=Dispensation.Status.PLANNED
    )
    if not subject.study.definition.schedule.dispenses_at_visits:
        return
    for visit in served.filter(dispensation=None):
        visit.dispensation = plan_dispensation(
            subject, visit.number, visit.due_on, visit.window_from
        )
        visit.dispensation.save()
        visit.save(update_fields=["dispensation"])


def _planned(subject: Subject, anchor: date, first: int, last: int, *, with_drug: bool) -> Plan:
    schedule = subject.study.definition.schedule
    plan = Plan([], [])
    for planned in planned_visits(schedule, anchor, first, last):
        visit = Visit(
            subject=subject,
            number=planned.number,
            due_on=planned.due_on,
            window_from=planned.window_from,
            window_to=planned.window_to,
        )
        if with_drug and schedule.dispenses_at_visits:
            visit.dispensation = plan_dispensation(
                subject, planned.number, planned.due_on, planned.window_from
            )
            plan.dispensations.append(visit.dispensation)
        plan.visits.append(visit)
    return plan


def _stored(plan: Plan) -> Plan:
    Dispensation.objects.bulk_create(plan.dispensations)
    Visit.objects.bulk_create(plan.visits)
    return plan


def _locked_subject(pk: int) -> Subject:
    subject = lock(Subject.objects.select_related("centre", "study"), pk)
    require_randomized(subject)
    return subject


def _require_day(
    subject: Subject, on: date, *, field: str = "on", after_death: bool = True
) -> None:
    _refuse(field, wrong_day(subject, on, after_death=after_death))


def _require_place_in_order(subject: Subject, visit: Visit, on: date) -> None:
    _refuse("on", wrong_place(subject, visit, on))


def _refuse(field: str, text: str) -> None:
    if text:
        raise Invalid({field: text})


def wrong_day(subject: Subject, on: date, *, after_death: bool = True) -> str:
    """Why something cannot have happened on this day: before randomization, in the future or (with
    `after_death`) after the subject died. Empty when it can.
    """
    if on < randomized_on(subject):
        return "This day is before the subject was randomized."
    if on > clock.today(subject.centre.time_zone):
        return "This day is in the future."
    if after_death:
        death = subject.events.filter(kind=SubjectEvent.Kind.DEATH).first()
        if death and on > death.occurred_on:
            return f"The subject died on {death.occurred_on:%-d %B %Y}."
    return ""


def wrong_place(subject: Subject, visit: Visit, on: date) -> str:
    """Why this day cannot be the visit's: too far before the planned one, or out of the order of
    the visits. Empty when it can.
    """
    half = timedelta(days=subject.study.definition.schedule.every_days // 2)
    if on < visit.due_on - half:
        return f"Visit {visit.number} can take place from {visit.due_on - half:%-d %B %Y} on."
    before = Q(number__lt=visit.number, done_on__gte=on)
    after = Q(number__gt=visit.number, done_on__lte=on)
    other = subject.visits.filter(before | after).first()
    return f"Visit {other.number} took place on {other.done_on:%-d %B %Y}." if other else ""


def wrong_death(subject: Subject, died_on: date) -> str:
    """The last day on which the subject was seen alive, as a text, when it is after this day."""
    newest = [
        subject.visits.aggregate(day=Max("done_on"))["day"],
        subject.reads.aggregate(day=Max("assessed_on"))["day"],
        subject.contacts.aggregate(day=Max("contact_on"))["day"],
        subject.dispensations.aggregate(day=Max("handed_over_on"))["day"],
        FirstDose.objects.filter(subject=subject).aggregate(day=Max("taken_on"))["day"],
    ]
    last = max((day for day in newest if day), default=None)
    if last and died_on < last:
        return f"The subject was seen alive on {last:%-d %B %Y}."
    return ""


def _read(
    subject: Subject,
    reader: str,
    assessed_on: date,
    response: str,
    read_on: date,
    by: Actor,
    visit: Visit | None,
) -> TumourRead:
    if response not in TumourRead.Response.values:
        raise Invalid({"response": f"Choose one of: {', '.join(TumourRead.Response.values)}."})
    if subject.reads.filter(reader=reader, assessed_on=assessed_on).exists():
        raise Problem(
            code="read_known",
            title="This reader's response for the scan of this day is already recorded.",
            action=CORRECT_IT,
        )
    return TumourRead.objects.create(
        subject=subject,
        visit=visit,
        reader=reader,
        assessed_on=assessed_on,
        response=response,
        read_on=read_on,
        recorded_by=by.label,
    )
