"""The verbs of room 3 on the blinded side: plan, assign, hand over, first dose, stop a drug."""

from datetime import date, timedelta

from django.db import transaction

from dispensing.models import Dispensation, DrugStop, FirstDose, Kit, SupplyRun
from enrolment.models import Centre, Subject
from iwrs import clock, gate
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.definition import StudyDefinition
from iwrs.locks import lock
from iwrs.models import Study
from iwrs.problems import Invalid, Problem
from iwrs.tasks import wake_unblinded


def use_until(definition: StudyDefinition, on: date) -> date:
    """The last day on which a kit dispensed `on` would be used: its days and the visit window."""
    return on + timedelta(days=definition.kits.days + definition.schedule.window_after_days)


def require_cover(centre: Centre, on: date) -> None:
    """Raise unless the centre's cover serves one more randomization.

    Counts of blinded acts and a shared expiry decide, never what is in a kit. It is asked before
    a place in the list is taken, so that an ordinary stock-out is not an abandoned call.
    """
    if not gate.call("has_cover", centre.pk, use_until(centre.study.definition, on)):
        raise no_kit()


def no_kit() -> Problem:
    """The one refusal for lack of a kit, whatever the reason behind it."""
    code, title, action, status = gate.REFUSALS["IW003"]
    return Problem(code=code, title=title, action=action, status=status)


def plan_dispensation(
    subject: Subject, number: int, due_on: date, earliest_on: date
) -> Dispensation:
    """A planned dispensation, not yet stored. 0 is the one at randomization."""
    return Dispensation(subject=subject, number=number, due_on=due_on, earliest_on=earliest_on)


def assign(dispensation: Dispensation, *, on: date) -> Kit:
    """Assign a kit within an open act. Raises the identical refusal when there is none."""
    definition = dispensation.subject.study.definition
    pk = gate.call("assign_kit", dispensation.pk, on, use_until(definition, on), clock.now())
    return Kit.objects.select_related("lot").only("number", "lot__expires_on").get(pk=pk)


def dispense(dispensation: Dispensation, *, by: Actor) -> Kit:
    """Assign the kit of a due visit. Asking again returns the first answer."""
    with act("assign kit", by=by):
        dispensation = lock(
            Dispensation.objects.select_related("subject__study", "subject__centre", "kit"),
            dispensation.pk,
        )
        if dispensation.kit is not None:
            return dispensation.kit
        subject = dispensation.subject
        today = clock.today(subject.centre.time_zone)
        if dispensation.status == Dispensation.Status.CANCELLED:
            raise Problem(
                code="dispensation_cancelled",
                title="This dispensation is no longer planned.",
                action="The subject stopped the study drug or left the study.",
            )
        if today < dispensation.earliest_on:
            raise Problem(
                code="too_early",
                title="This dispensation is not due yet.",
                action=f"A kit can be assigned from {dispensation.earliest_on:%-d %B %Y}.",
            )
        return assign(dispensation, on=today)


def hand_over(dispensation: Dispensation, *, by: Actor, on: date) -> Dispensation:
    """Record that the assigned kit was given to the subject."""
    with act("hand over kit", by=by):
        dispensation = lock(
            Dispensation.objects.select_related("subject__centre", "kit__lot"), dispensation.pk
        )
        if dispensation.status == Dispensation.Status.HANDED_OVER:
            return dispensation
        if dispensation.kit is None or dispensation.assigned_at is None:
            raise Problem(
                code="no_kit_assigned",
                title="No kit is assigned to this dispensation.",
                action="Assign a kit first.",
            )
        centre = dispensation.subject.centre
        assigned_on = clock.local_date(dispensation.assigned_at, centre.time_zone)
        _require_day(on, centre, not_before=assigned_on)
        _require_in_study(on, dispensation.subject)
        expires_on = dispensation.kit.lot.expires_on
        if on > expires_on:
            raise Invalid({"on": f"The kit may be used until {expires_on:%-d %B %Y} only."})
        dispensation.status = Dispensation.Status.HANDED_OVER
        dispensation.handed_over_on = on
        dispensation.save(update_fields=["status", "handed_over_on"])
        return dispensation


def record_first_dose(subject: Subject, *, by: Actor, on: date) -> FirstDose:
    """Record the first dose of the blinded drug; it needs a kit that was handed over."""
    with act("record first dose", by=by):
        subject = lock(Subject.objects.select_related("centre"), subject.pk)
        if FirstDose.objects.filter(subject=subject).exists():
            raise Problem(code="first_dose_known", title="The first dose is already recorded.")
        first = (
            subject.dispensations.filter(status=Dispensation.Status.HANDED_OVER)
            .order_by("handed_over_on")
            .first()
        )
        if first is None or first.handed_over_on is None:
            raise Problem(
                code="no_kit_handed_over",
                title="No kit was handed over to this subject yet.",
                action="Record the hand-over first.",
            )
        _require_day(on, subject.centre, not_before=first.handed_over_on)
        _require_in_study(on, subject)
        return FirstDose.objects.create(subject=subject, taken_on=on, recorded_by=by.label)


def first_dose_of(subject: Subject) -> FirstDose | None:
    """The first dose that stands, if one was recorded; `first_doses` may be prefetched."""
    return next(iter(subject.first_doses.all()), None)


def stop_drug(subject: Subject, drug: str, *, by: Actor, on: date, reason: str) -> DrugStop:
    """Stop one drug for good, with its reason. The assessment schedule stays as it is.

    Stopping the blinded drug cancels dispensations that are still planned.
    """
    with act("stop drug", by=by, why=reason):
        subject = lock(Subject.objects.select_related("centre", "study"), subject.pk)
        require_randomized(subject)
        drugs = {each.key: each for each in subject.study.definition.drugs}
        problems = {}
        if drug not in drugs:
            problems["drug"] = f"Choose one of: {', '.join(drugs)}."
        elif reason not in {each.key for each in drugs[drug].stop_reasons}:
            allowed = ", ".join(each.key for each in drugs[drug].stop_reasons)
            problems["reason"] = f"Choose one of: {allowed}."
        if problems:
            raise Invalid(problems)
        _require_day(on, subject.centre, not_before=randomized_on(subject))
        if subject.drug_stops.filter(drug=drug).exists():
            raise Problem(code="drug_stopped", title=f"{drugs[drug].label} is already stopped.")
        if drugs[drug].blinded:
            cancel_planned(subject)
        return DrugStop.objects.create(
            subject=subject, drug=drug, stopped_on=on, reason=reason, recorded_by=by.label
        )


def cancel_planned(subject: Subject) -> None:
    """Cancel the dispensations that have no kit yet, within an open act."""
    subject.dispensations.filter(status=Dispensation.Status.PLANNED).update(
        status=Dispensation.Status.CANCELLED
    )


def takes_blinded_drug(subject: Subject) -> bool:
    """False once the blinded drug was stopped."""
    blinded = subject.study.definition.blinded_drug.key
    return not subject.drug_stops.filter(drug=blinded).exists()


def request_supply(study: Study, *, by: Actor) -> SupplyRun:
    """Ask the unblinded worker to look at what centres need. Nothing else is said."""
    with act("request supply run", by=by):
        transaction.on_commit(wake_unblinded)
        waiting = SupplyRun.objects.filter(study=study, status=SupplyRun.Status.QUEUED).first()
        return waiting or SupplyRun.objects.create(study=study, as_of=clock.now())


def require_randomized(subject: Subject) -> None:
    """Raise unless the subject is randomized."""
    if subject.randomized_at is None:
        raise Problem(
            code="not_randomized",
            title=f"Subject {subject.number} is not randomized.",
            action="This can be recorded after randomization only.",
        )


def randomized_on(subject: Subject) -> date:
    """The day of randomization where the centre is."""
    if subject.randomized_at is None:
        raise ValueError(f"subject {subject.number} is not randomized")
    return clock.local_date(subject.randomized_at, subject.centre.time_zone)


def _require_in_study(on: date, subject: Subject) -> None:
    if subject.ended_on is not None and on > subject.ended_on:
        raise Invalid({"on": f"The subject left the study on {subject.ended_on:%-d %B %Y}."})


def _require_day(on: date, centre: Centre, *, not_before: date) -> None:
    if on > clock.today(centre.time_zone):
        raise Invalid({"on": "This day is in the future."})
    if on < not_before:
        raise Invalid({"on": f"This day is before {not_before:%-d %B %Y}."})
