"""An arm named beforehand: only where the study file allows it; the place is used up."""

import re

import pytest
from django.db import connection

from iwrs import clock, studies
from iwrs.definition import parse_definition
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Signature
from randomization.unblinded.forced import force_allocation, require_none_waits
from randomization.unblinded.models import (
    Allocation,
    ForcedAllocation,
    RandomizationList,
    StratumCursor,
)
from randomization.unblinded.records import waiting_record
from tests import factories as make
from tests.roles import as_unblinded
from trial.invariants import UNBLINDED
from trial.services import randomize

pytestmark = pytest.mark.django_db
ALLOWED = "forced_allocation = true"
CLOSED = """[[arms]]
code = "LOW"
label = "Low dose + exemestane"
ratio = 1
closed = true
"""
STATISTICIAN = make.STATISTICIANS[0]


def force(subject, arm="PBO", why="The committee decided it"):
    signature = Signature(
        STATISTICIAN.label, clock.now(), "I name it", shown=waiting_record(subject).sha256
    )
    with as_unblinded():
        return force_allocation(subject, arm, by=STATISTICIAN, why=why, signature=signature)


@pytest.mark.parametrize("arm", ["EVE", "PBO"])
def test_the_subject_gets_the_named_arm_and_takes_a_place(arm):
    subject = make.a_subject(make.a_centre(make.a_study(keys=ALLOWED)))
    force(subject, arm)
    randomize(subject, by=make.TESTER)
    assert make.arm_of(subject) == arm
    with as_unblinded():
        assert Allocation.objects.get(subject=subject).entry.position == 1
        assert sum(StratumCursor.objects.values_list("used", flat=True)) == 1


def test_the_next_subject_gets_the_next_place_as_it_is():
    centre = make.a_centre(make.a_study(keys=ALLOWED))
    subjects = [make.a_subject(centre) for _ in range(3)]
    force(subjects[1])
    for subject in subjects:
        randomize(subject, by=make.TESTER)
    with as_unblinded():
        rows = list(Allocation.objects.select_related("entry").order_by("entry__position"))
        assert [row.entry.position for row in rows] == [1, 2, 3]
        assert all(row.arm == row.entry.arm for row in rows if row.subject_id != subjects[1].pk)


def test_the_invariants_know_of_it():
    place = next(each for each in UNBLINDED if each.sentence.startswith("A place is one of"))
    subject = make.a_subject(make.a_centre(make.a_study(keys=ALLOWED)))
    force(subject)
    randomize(subject, by=make.TESTER)
    with as_unblinded(), connection.cursor() as cursor:
        cursor.execute(place.query)
        assert cursor.fetchall() == []


def test_it_is_off_unless_the_study_file_allows_it():
    with pytest.raises(Problem) as refused:
        force(make.a_subject(make.a_centre(make.a_study())))
    assert refused.value.code == "not_forced_here"
    with as_unblinded():
        assert not ForcedAllocation.objects.exists()


@pytest.mark.parametrize(
    ("arm", "why", "field"),
    [("XXX", "because", "arm"), ("eve", "because", "arm"), ("EVE", " ", "why")],
)
def test_an_unknown_arm_or_no_reason_is_refused_beside_its_field(arm, why, field):
    subject = make.a_subject(make.a_centre(make.a_study(keys=ALLOWED)))
    with pytest.raises(Invalid) as refused:
        force(subject, arm, why)
    assert list(refused.value.errors) == [field]
    with as_unblinded():
        assert not ForcedAllocation.objects.exists()


def test_a_randomized_or_named_subject_does_not_wait():
    centre = make.a_centre(make.a_study(keys=ALLOWED), cover=2)
    for subject in (make.a_randomized_subject(centre), make.a_subject(centre, eligible=False)):
        with pytest.raises(Problem) as refused:
            force(subject)
        assert refused.value.code == "not_waiting"
    named = make.a_subject(centre)
    force(named)
    with pytest.raises(Problem) as refused:
        force(named, "EVE")
    assert refused.value.code == "not_waiting"


def test_an_arm_that_takes_nobody_any_more_is_not_named():
    text = make.small_definition(keys=ALLOWED).text
    text = text.replace("# Four strata", f"{CLOSED}\n# Four strata", 1)
    text = re.sub(r"(?m)^(contents = \{)", r'\1 LOW = "Low dose, bottle of 50",', text)
    loaded = parse_definition(text, source="test study")
    study = studies.load(loaded, by=make.TESTER, list_exists=lambda study: False).study
    make.an_active_list(study)
    studies.set_status(study, "open", by=make.TESTER)
    with pytest.raises(Invalid) as refused:
        force(make.a_subject(make.a_centre(study)), "LOW")
    assert refused.value.errors == {"arm": "Type one of: EVE, PBO."}


def test_a_list_without_an_arm_that_waits_is_refused():
    study = make.a_study(keys=ALLOWED)
    subject = make.a_subject(make.a_centre(study))
    force(subject, "PBO")
    with as_unblinded():
        made = RandomizationList.objects.get(study=study)
        require_none_waits(made)
        made.design["arms"] = [["EVE", 2], ["LOW", 1]]
        with pytest.raises(Problem) as refused:
            require_none_waits(made)
    assert refused.value.code == "forced_arm_waits"
    assert subject.number in refused.value.title
    randomize(subject, by=make.TESTER)
    with as_unblinded():
        require_none_waits(made)


def test_a_list_without_the_arm_of_a_subject_who_waits_is_not_approved():
    study = make.a_study(keys=ALLOWED)
    subject = make.a_subject(make.a_centre(study))
    force(subject, "PBO")
    with as_unblinded():
        made = RandomizationList.objects.get(study=study)
        require_none_waits(made)
        made.design["arms"] = [["EVE", 2]]
        with pytest.raises(Problem) as refused:
            require_none_waits(made)
    assert refused.value.code == "forced_arm_waits"
    randomize(subject, by=make.TESTER)
    with as_unblinded():
        require_none_waits(made)
