"""Courses with their arms: what the closed analysis starts from. Unblinded side only."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

from django.db import connection, transaction

from dsmb.analysis import Arm, DerivationError, SubjectRecord
from dsmb.courses import read_courses
from iwrs.definition import StudyDefinition
from iwrs.models import Study
from randomization.unblinded.arms import definition_of_list
from randomization.unblinded.models import Allocation


def analysis_arms(definition: StudyDefinition) -> dict[str, Arm]:
    """Arm code to arm, in the order of the study file."""
    controls = definition.control_codes
    return {arm.code: Arm(arm.code, arm.label, arm.code in controls) for arm in definition.arms}


def read_records(study: Study, cut: date) -> list[SubjectRecord]:
    """The record of every randomized subject, in a fixed number of queries.

    Read it inside `snapshot()`, so that all queries see one moment. Raises `DerivationError` when
    a randomized subject has no allocation, and `Problem` when the definition's arms are not those
    of the list: a cut could single out one subject, and "failed" would tell the arm.
    """
    arms = analysis_arms(definition_of_list(study))
    courses = read_courses(study, cut)
    allocated = dict(
        Allocation.objects.filter(subject__study=study).values_list("subject_id", "arm")
    )
    if allocated.keys() != courses.keys():
        raise DerivationError("subjects randomized and subjects allocated are not the same")
    return [SubjectRecord(course, arms[allocated[pk]]) for pk, course in courses.items()]


@contextmanager
def snapshot() -> Iterator[None]:
    """One read-only transaction in which every query sees the database of one moment."""
    with transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield
