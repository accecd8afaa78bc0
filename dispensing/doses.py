"""Dose levels: the present one of a subject, and the next one down. Placebo is reduced too."""

from datetime import date

from dispensing.models import DoseReduction
from dispensing.records import doses_record, reduction_record
from dispensing.services import randomized_on, require_randomized
from enrolment.models import Subject
from iwrs import clock
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.definition import DoseLevel
from iwrs.locks import lock
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Signature
from iwrs.signatures.reported import require_waiting
from iwrs.signatures.services import keep, require_shown


def dose_levels(subject: Subject, drug: str) -> list[DoseLevel]:
    """The levels of a drug, the full dose first."""
    levels = [each for each in subject.study.definition.dose_levels if each.drug == drug]
    return sorted(levels, key=lambda each: each.order)


def next_level(subject: Subject, drug: str) -> DoseLevel | None:
    """The level below the present one, or None at the lowest."""
    taken = {each.level for each in subject.dose_reductions.all() if each.drug == drug}
    return next((each for each in dose_levels(subject, drug)[1:] if each.key not in taken), None)


def reduce_dose(
    subject: Subject,
    level: str,
    *,
    by: Actor,
    on: date,
    reason: str,
    signature: Signature | None = None,
) -> DoseReduction:
    """Take a subject one dose level down, in the order of the study's definition.

    `level` is the key of the new level. Raises `Invalid` with one text a field, and `Problem` for a
    subject who is not randomized or has stopped the drug. People sign it on their page; what an EDC
    system records is confirmed afterwards (`confirm_reduction`).
    """
    with act("reduce dose", by=by, why=reason):
        subject = lock(Subject.objects.select_related("centre", "study"), subject.pk)
        require_randomized(subject)
        if signature:
            require_shown(signature, doses_record(subject))
        drug = _drug_of(subject, level)
        _require_drug_taken(subject, drug)
        problems = _wrong_day(subject, drug, on)
        following = next_level(subject, drug)
        if following is None or following.key != level:
            lower = following.label if following else "none: this is the lowest"
            problems["level"] = f"The next dose level is {lower}."
        if not reason.strip():
            problems["reason"] = "Say why the dose is reduced."
        if problems:
            raise Invalid(problems)
        made = DoseReduction.objects.create(
            subject=subject,
            drug=drug,
            level=level,
            reduced_on=on,
            reason=reason.strip(),
            recorded_by=by.label,
        )
        if signature:
            zone = subject.centre.time_zone
            keep(signature, reduction_record(made), study=subject.study, time_zone=zone)
        return made


def confirm_reduction(
    reduction: DoseReduction, *, by: Actor, signature: Signature
) -> DoseReduction:
    """Confirm by signature a dose reduction that an EDC system recorded.

    Raises `Problem` when a person recorded it on the portal, when it was taken back meanwhile and
    when it is confirmed already.
    """
    with act("confirm dose reduction", by=by, why=signature.meaning):
        subject = lock(Subject.objects.select_related("centre", "study"), reduction.subject_id)
        row = DoseReduction.objects.filter(pk=reduction.pk).first()
        if row is None:
            raise Problem(
                code="fact_gone",
                title="This dose reduction was taken back.",
                action="There is nothing to confirm. Nothing was signed.",
            )
        row.subject = subject
        require_waiting(row.recorded_by, row.confirmed_at)
        record = reduction_record(row)
        require_shown(signature, record)
        row.confirmed_at = clock.now()
        row.save(update_fields=["confirmed_at"])
        keep(signature, record, study=subject.study, time_zone=subject.centre.time_zone)
        return row


def _drug_of(subject: Subject, level: str) -> str:
    drugs = {each.key: each.drug for each in subject.study.definition.dose_levels}
    if level not in drugs:
        raise Invalid({"level": f"Choose one of: {', '.join(drugs)}."})
    return drugs[level]


def _require_drug_taken(subject: Subject, drug: str) -> None:
    if subject.drug_stops.filter(drug=drug).exists():
        raise Problem(
            code="drug_stopped",
            title="This drug is already stopped.",
            action="Its dose cannot be changed.",
        )


def _wrong_day(subject: Subject, drug: str, on: date) -> dict[str, str]:
    """The day lies in the study, and not before the reduction that came before."""
    if on > clock.today(subject.centre.time_zone):
        return {"on": "This day is in the future."}
    if on < randomized_on(subject):
        return {"on": "This day is before the subject was randomized."}
    if subject.ended_on is not None and on > subject.ended_on:
        return {"on": f"The subject left the study on {subject.ended_on:%-d %B %Y}."}
    last = subject.dose_reductions.filter(drug=drug).order_by("-reduced_on").first()
    if last and on < last.reduced_on:
        return {"on": f"The dose was reduced before, on {last.reduced_on:%-d %B %Y}."}
    return {}
