"""Many randomized subjects with a course, written straight as rows: for counts and for size."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from django.db import connection

from assessments.models import Contact, SubjectEvent, TumourRead, Visit
from dispensing.models import DrugStop, FirstDose
from enrolment.models import Centre, Subject
from randomization.models import Randomization
from randomization.unblinded.models import Allocation, ListEntry
from tests.roles import as_unblinded

START = datetime(2010, 1, 4, 23, 30, tzinfo=UTC)  # already the next day in Paris


@contextmanager
def as_owner() -> Iterator[None]:
    """Run a few lines as the owner: for what no application role may write."""
    with as_unblinded(), connection.cursor() as cursor:
        cursor.execute("SET ROLE iwrs_owner")
        yield


def many_subjects(
    centre: Centre, count: int, *, seed: int = 1, courses: bool = True, allocate: bool = False
) -> list[Subject]:
    """`count` subjects with random reads, events, doses and contacts over about fourteen months.

    Without `courses` nothing is known of them but that they were randomized.
    """
    chance = random.Random(seed)
    subjects = Subject.objects.bulk_create(
        _subject(centre, number, chance) for number in _free_numbers(centre, count)
    )
    Randomization.objects.bulk_create(
        Randomization(
            subject=subject,
            study=centre.study,
            number=f"{subject.pk:08d}",
            stratum_key=subject.stratum_key,
            occurred_at=subject.randomized_at,
            by="Tester",
        )
        for subject in subjects
    )
    rows = [_course(subject, chance) for subject in subjects if courses]
    for model in (TumourRead, SubjectEvent, Contact, FirstDose, DrugStop, Visit):
        model.objects.bulk_create(
            [row for course in rows for row in course if isinstance(row, model)]
        )
    if allocate:
        _allocate(subjects)
    return subjects


def _free_numbers(centre: Centre, count: int) -> range:
    used = Subject.objects.filter(centre=centre).count()
    return range(used + 1, used + count + 1)


def _subject(centre: Centre, number: int, chance: random.Random) -> Subject:
    moment = START + timedelta(days=chance.randrange(300))
    strata = {key: chance.choice(["yes", "no"]) for key in ("visceral", "sensitive")}
    return Subject(
        study=centre.study,
        centre=centre,
        number=f"{centre.number}-{number:03d}",
        status=Subject.Status.RANDOMIZED,
        consent_on=moment.date() - timedelta(days=9),
        screened_at=moment,
        strata=strata,
        stratum_key=centre.study.definition.stratum_key(strata),
        baseline={"age": chance.randrange(40, 80)},
        randomized_at=moment,
    )


def _course(subject: Subject, chance: random.Random) -> list[object]:
    first = subject.randomized_at.date() + timedelta(days=1)  # the day in Paris
    rows: list[object] = []
    for reader in ("local", "central"):
        for visit in range(chance.randrange(8)):
            on = first + timedelta(days=42 * visit + chance.randrange(8))
            response = chance.choice(["CR", "PR", "SD", "SD", "NE", "PD"])
            rows.append(_read(subject, reader, on, response))
    for kind, share in [("new_therapy", 0.3), ("death", 0.3), ("withdrawal", 0.1), ("lost", 0.1)]:
        if chance.random() < share:
            on = first + timedelta(days=chance.randrange(330))
            rows.append(
                SubjectEvent(subject=subject, kind=kind, occurred_on=on, recorded_by="Tester")
            )
    if chance.random() < 0.9:
        rows.append(FirstDose(subject=subject, taken_on=first, recorded_by="Tester"))
    if chance.random() < 0.5:
        on = first + timedelta(days=chance.randrange(200))
        rows += [
            DrugStop(
                subject=subject, drug=drug, stopped_on=on, reason="other", recorded_by="Tester"
            )
            for drug in ("study_drug", "exemestane")
        ]
    on = first + timedelta(days=chance.randrange(400))
    rows.append(Contact(subject=subject, contact_on=on, recorded_by="Tester"))
    rows.append(
        Visit(
            subject=subject,
            number=1,
            due_on=on,
            window_from=on,
            window_to=on,
            status=Visit.Status.DONE,
            done_on=on + timedelta(days=2),
        )
    )
    return rows


def _read(subject: Subject, reader: str, on: object, response: str) -> TumourRead:
    return TumourRead(
        subject=subject,
        reader=reader,
        assessed_on=on,
        response=response,
        read_on=on,
        recorded_by="Tester",
    )


def _allocate(subjects: list[Subject]) -> None:
    """Give each subject a free place of the stratum, in any order: only the analysis reads it.

    As owner: in production nobody but the gate writes an allocation.
    """
    with as_unblinded():
        free = {}
        for entry in ListEntry.objects.filter(allocation=None).order_by("position"):
            free.setdefault(entry.stratum_key, []).append(entry)
    with as_owner():
        Allocation.objects.bulk_create(
            Allocation(
                subject=subject, entry=entry, arm=entry.arm, allocated_at=subject.randomized_at
            )
            for subject in subjects
            for entry in [free[subject.stratum_key].pop(0)]
        )
