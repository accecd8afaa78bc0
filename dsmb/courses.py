"""What the database knows of each randomized subject, as the analysis takes it, without the arm."""

from collections import defaultdict
from datetime import date, datetime
from typing import Any, cast

from django.db.models import Count, Max

from assessments.models import Contact, SubjectEvent, TumourRead, Visit
from dispensing.models import DrugStop, FirstDose
from dsmb.analysis import Course, Read
from dsmb.analysis.course import Reader, Response
from enrolment.models import Subject
from iwrs import clock
from iwrs.definition import levels_in
from iwrs.models import Study
from randomization.models import RandomizedInError, VerifiedStratum

Day = dict[int, date]
_KIND = SubjectEvent.Kind


def read_courses(study: Study, cut: date) -> dict[int, Course]:
    """Subject's primary key to course, for every randomized subject.

    The number of queries does not depend on the number of subjects. The last contact is the newest
    contact or visit on or before the cut; everything else is given whole and cut by the analysis.
    """
    definition = study.definition
    factors = [factor.key for factor in definition.factors]
    subjects = _subjects(study)
    mine = {"subject__study": study, "subject__randomized_at__isnull": False}
    known = _known_days(mine, len(definition.drugs), cut)
    reads = _reads(mine)
    verified = _verified(study, cut)
    wrong = _in_error(study)
    return {
        row["pk"]: Course(
            subject=row["number"],
            centre=row["centre__number"],
            country=row["centre__country_code"],
            strata=_levels(row["randomization__stratum_key"], factors),
            randomized_on=_local_day(row["randomized_at"], row["centre__time_zone"]),
            reads=tuple(reads.get(row["pk"], ())),
            age=row["baseline"].get("age"),
            verified_strata=verified.get(row["pk"]),
            randomized_in_error_on=wrong.get(row["pk"]),
            **{name: days.get(row["pk"]) for name, days in known.items()},
        )
        for row in subjects
    }


def _levels(stratum_key: str, factors: list[str]) -> dict[str, str]:
    """The answers as randomized. Levels that the centre gave are not factors of the analysis."""
    levels = levels_in(stratum_key)
    return {factor: levels[factor] for factor in factors}


def _subjects(study: Study) -> list[dict[str, Any]]:
    rows = Subject.objects.filter(study=study, randomized_at__isnull=False).values(
        "pk",
        "number",
        "centre__number",
        "centre__country_code",
        "centre__time_zone",
        "randomization__stratum_key",
        "baseline",
        "randomized_at",
    )
    return [dict(row) for row in rows]


def _verified(study: Study, cut: date) -> dict[int, dict[str, str]]:
    """Subject to the newest levels that were verified on or before the cut."""
    rows = VerifiedStratum.objects.filter(randomization__study=study).order_by("pk")
    return {
        subject: levels
        for subject, levels, at, zone in rows.values_list(
            "randomization__subject_id",
            "levels",
            "verified_at",
            "randomization__subject__centre__time_zone",
        )
        if _local_day(at, zone) <= cut
    }


def _in_error(study: Study) -> Day:
    rows = RandomizedInError.objects.filter(randomization__study=study).values_list(
        "randomization__subject_id", "marked_at", "randomization__subject__centre__time_zone"
    )
    return {subject: _local_day(at, zone) for subject, at, zone in rows}


def _local_day(moment: datetime, time_zone: str) -> date:
    return clock.local_date(moment, time_zone)


def _known_days(mine: dict[str, Any], drugs: int, cut: date) -> dict[str, Day]:
    """Field of `Course` to the day of each subject."""
    events: dict[str, Day] = defaultdict(dict)
    rows = SubjectEvent.objects.filter(**mine).values_list("kind", "subject_id", "occurred_on")
    for kind, subject, on in rows:
        events[kind][subject] = on
    doses = FirstDose.objects.filter(**mine).values_list("subject_id", "taken_on")
    return {
        "first_dose_on": dict(doses),
        "drug_stopped_on": _treatment_ended(mine, drugs),
        "new_therapy_on": events[_KIND.NEW_THERAPY],
        "withdrew_on": _each(min, events[_KIND.WITHDRAWAL], events[_KIND.LOST]),
        "died_on": events[_KIND.DEATH],
        "last_contact_on": _last_contacts(mine, cut),
    }


def _treatment_ended(mine: dict[str, Any], drugs: int) -> Day:
    """The day on which the last of the study's drugs was stopped: until then the subject is on
    treatment. The drugs are stopped separately, so one stop is not the end of treatment.
    """
    stops = DrugStop.objects.filter(**mine).values_list("subject_id")
    ended = stops.annotate(stopped=Count("drug"), day=Max("stopped_on")).filter(stopped=drugs)
    return dict(ended.order_by().values_list("subject_id", "day"))


def _last_contacts(mine: dict[str, Any], cut: date) -> Day:
    contacts = Contact.objects.filter(**mine, contact_on__lte=cut).values_list("subject_id")
    visits = Visit.objects.filter(**mine, done_on__lte=cut).values_list("subject_id")
    return _each(
        max,
        dict(contacts.annotate(day=Max("contact_on")).order_by()),
        dict(visits.annotate(day=Max("done_on")).order_by()),
    )


def _reads(mine: dict[str, Any]) -> dict[int, list[Read]]:
    reads: dict[int, list[Read]] = defaultdict(list)
    rows = TumourRead.objects.filter(**mine).order_by("subject_id", "assessed_on", "reader")
    for subject, reader, on, response in rows.values_list(
        "subject_id", "reader", "assessed_on", "response"
    ):
        reads[subject].append(Read(cast(Reader, reader), on, cast(Response, response)))
    return reads


def _each(choose: Any, first: Day, second: Day) -> Day:
    """The chosen of two days of each subject; of a subject with one day, that day."""
    return {
        subject: choose(day[subject] for day in (first, second) if subject in day)
        for subject in first.keys() | second.keys()
    }
