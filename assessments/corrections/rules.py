"""What a corrected fact must keep to: the same rules as when it is recorded.

Each rule gets the subject and the row as it would be, and returns a text for each field that
cannot stand.
"""

from datetime import date

from assessments.models import Contact, SubjectEvent, TumourRead, Visit
from assessments.services import wrong_day, wrong_death, wrong_place
from dispensing.models import Dispensation, DoseReduction, DrugStop, FirstDose
from dispensing.services import randomized_on
from enrolment.eligibility import wrong_baseline
from enrolment.models import Subject
from iwrs import clock


def _told(**texts: str) -> dict[str, str]:
    return {field: text for field, text in texts.items() if text}


def screening(subject: Subject, row: Subject) -> dict[str, str]:
    screened_on = clock.local_date(row.screened_at, subject.centre.time_zone)
    late = "Consent is given before the screening." if row.consent_on > screened_on else ""
    return _told(consent_on=late) | wrong_baseline(subject.study.definition, row.baseline)


def hand_over(subject: Subject, row: Dispensation) -> dict[str, str]:
    on = row.handed_over_on
    assert on is not None
    assert row.assigned_at is not None
    assert row.kit is not None
    if on < clock.local_date(row.assigned_at, subject.centre.time_zone):
        return {"handed_over_on": "This day is before the kit was assigned."}
    if on > row.kit.lot.expires_on:
        return {
            "handed_over_on": f"The kit may be used until {row.kit.lot.expires_on:%-d %B %Y} only."
        }
    first = min([on, *_hand_overs(subject, but=row.pk)])
    dose = FirstDose.objects.filter(subject=subject).first()
    if dose and dose.taken_on < first:
        return {"handed_over_on": f"The first dose was taken on {dose.taken_on:%-d %B %Y}."}
    return _in_study(subject, "handed_over_on", on)


def first_dose(subject: Subject, row: FirstDose) -> dict[str, str]:
    first = min(_hand_overs(subject))
    if row.taken_on < first:
        return {"taken_on": f"The first kit was handed over on {first:%-d %B %Y}."}
    return _in_study(subject, "taken_on", row.taken_on)


def visit(subject: Subject, row: Visit) -> dict[str, str]:
    on = row.done_on
    score = row.quality_of_life
    assert on is not None
    return _told(
        done_on=wrong_day(subject, on)
        or wrong_place(subject, row, on)
        or _read_known(subject, TumourRead.Reader.LOCAL, on, visit=row),
        ecog="" if row.ecog is None or row.ecog in range(6) else "Give a whole number from 0 to 5.",
        quality_of_life=""
        if score is None or 0 <= score <= 100
        else "Give a number from 0 to 100.",
    )


def read(subject: Subject, row: TumourRead) -> dict[str, str]:
    today = clock.today(subject.centre.time_zone)
    late = "This day is in the future." if row.read_on > today else ""
    early = "A scan cannot be read before it was made." if row.read_on < row.assessed_on else ""
    known = _read_known(subject, row.reader, row.assessed_on, read=row)
    return _told(assessed_on=wrong_day(subject, row.assessed_on) or known, read_on=late or early)


def stop(subject: Subject, row: DrugStop) -> dict[str, str]:
    return _told(stopped_on=wrong_day(subject, row.stopped_on, after_death=False))


def reduction(subject: Subject, row: DoseReduction) -> dict[str, str]:
    text = wrong_day(subject, row.reduced_on, after_death=False)
    for other in subject.dose_reductions.filter(drug=row.drug).exclude(pk=row.pk):
        higher = other.pk < row.pk
        out_of_order = (
            other.reduced_on > row.reduced_on if higher else (other.reduced_on < row.reduced_on)
        )
        if out_of_order:
            text = text or f"Another level was reached on {other.reduced_on:%-d %B %Y}."
    return _told(reduced_on=text, reason="" if row.reason.strip() else "Say why.")


def kept(row: object) -> str:
    """Why a fact cannot be taken back, for another one stands on it. Empty when it can."""
    if isinstance(row, DoseReduction):
        lower = row.subject.dose_reductions.filter(drug=row.drug, pk__gt=row.pk)
        if lower.exists():
            return "The dose was reduced again after this. Take back the lower level first."
    if isinstance(row, Dispensation):
        dose = FirstDose.objects.filter(subject=row.subject).first()
        if dose and dose.taken_on < min(_hand_overs(row.subject, but=row.pk), default=date.max):
            return "The first dose was taken from this kit. Take back the first dose first."
    return ""


def event(subject: Subject, row: SubjectEvent) -> dict[str, str]:
    death = row.kind == SubjectEvent.Kind.DEATH
    text = wrong_day(subject, row.occurred_on, after_death=not death)
    return _told(occurred_on=text or (wrong_death(subject, row.occurred_on) if death else ""))


def contact(subject: Subject, row: Contact) -> dict[str, str]:
    same = subject.contacts.filter(contact_on=row.contact_on).exclude(pk=row.pk).exists()
    known = "This day is already recorded." if same else ""
    return _told(contact_on=wrong_day(subject, row.contact_on) or known)


def _hand_overs(subject: Subject, *, but: int = 0) -> list[date]:
    given = subject.dispensations.exclude(pk=but).values_list("handed_over_on", flat=True)
    return [day for day in given if day]


def _in_study(subject: Subject, field: str, on: date) -> dict[str, str]:
    if on > clock.today(subject.centre.time_zone):
        return {field: "This day is in the future."}
    if on < randomized_on(subject):
        return {field: "This day is before the subject was randomized."}
    if subject.ended_on and on > subject.ended_on:
        return {field: f"The subject left the study on {subject.ended_on:%-d %B %Y}."}
    return {}


def _read_known(
    subject: Subject,
    reader: str,
    on: date,
    *,
    read: TumourRead | None = None,
    visit: Visit | None = None,
) -> str:
    """Another read of this reader for the scan of this day, as a text."""
    others = subject.reads.filter(reader=reader, assessed_on=on)
    if read:
        others = others.exclude(pk=read.pk)
    if visit:
        others = others.exclude(visit=visit)
    return "This reader has another read of the scan of this day." if others.exists() else ""
