"""What the tests of accepted paper numbers share."""

import json
import runpy
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

from django.db import connection, transaction

from dsmb.unblinded.told import accept_paper
from enrolment.models import Subject
from iwrs import clock
from iwrs.signatures import Signature
from randomization.models import LateEntry
from randomization.unblinded.bundle import SCRIPT, bundle_of
from randomization.unblinded.closing import shut
from randomization.unblinded.models import (
    Allocation,
    ForcedAllocation,
    RandomizationList,
    StratumCursor,
)
from randomization.unblinded.records import waiting_record
from randomization.unblinded.verification import faults_of
from tests import factories as make
from tests.code_break.desk import Given
from tests.hostile.walk import undone
from tests.roles import as_unblinded
from tests.trial.test_paper import NOW, a_subject, enter, label_of
from trial.invariants import BLINDED, UNBLINDED
from trial.services import randomize

STATISTICIAN = make.STATISTICIANS[0]
WHY = "The log of the desk shows this line; the pack was of the day before"


def accept(subject: Subject, number: str, kit: str = "", why: str = WHY) -> ForcedAllocation:
    signature = Signature(
        STATISTICIAN.label, clock.now(), "I accept it", shown=waiting_record(subject).sha256
    )
    with as_unblinded(), clock.at(NOW):
        return accept_paper(subject, number, kit, by=STATISTICIAN, why=why, signature=signature)


def entered_as_told(subject: Subject, given: Given) -> None:
    """The subject has the treatment and the kit that the desk told."""
    answer = enter(subject, given.paper_number)
    assert answer.kit.grouped == given.kit
    assert label_of(subject) == given.treatment
    entry = LateEntry.objects.get(randomization__subject=subject)
    assert (entry.paper_number, entry.kit_differs) == (given.paper_number, False)


def all_is_well(paper: SimpleNamespace) -> None:
    """No invariant is hurt, and list, allocations and bundle can be checked by anybody."""
    with as_unblinded(), connection.cursor() as cursor:
        for each in BLINDED + UNBLINDED:
            cursor.execute(each.query)
            assert cursor.fetchall() == [], each.sentence
        assert list(faults_of(paper.study)) == []
        bundle = bundle_of(paper.study)
    assert outside(bundle) == []


def outside(bundle: dict[str, Any]) -> list[str]:
    """What the stand-alone script says of a bundle."""
    return list(runpy.run_path(str(SCRIPT))["check"](json.loads(json.dumps(bundle))))


def the_list_ends(paper: SimpleNamespace) -> None:
    with as_unblinded(), transaction.atomic():
        shut(RandomizationList.objects.get(study=paper.study, status="active"))


def cursors() -> list[int]:
    with as_unblinded():
        return list(StratumCursor.objects.order_by("pk").values_list("used", flat=True))


def abandoned_call(paper: SimpleNamespace) -> None:
    """A server that died in the middle of a randomization."""
    with undone(), clock.at(NOW):
        randomize(a_subject(paper.here), by=make.TESTER)


def use_up_all_cover(paper: SimpleNamespace) -> None:
    with as_unblinded(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT unblinded.use_up_cover(id, size) FROM public.dispensing_cohort"
            " WHERE centre_id = %s",
            [paper.here.pk],
        )


def places(subjects: Iterable[Subject]) -> list[int]:
    """The position in the stratum that each of them has."""
    with as_unblinded():
        return [Allocation.objects.get(subject=each).entry.position for each in subjects]
