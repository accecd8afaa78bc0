"""Limits by stratum, country, centre and cohort: exact, refused in one text, far ones cheap."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from psycopg import errors

from enrolment.caps import fillings
from enrolment.models import Centre, Subject, Tally
from iwrs.models import Study
from iwrs.problems import Problem
from randomization.models import Randomization
from tests import factories as make
from tests.concurrency import racer
from tests.dsmb.rows import many_subjects
from tests.roles import Logins
from trial.services import randomize

pytestmark = pytest.mark.requirement("REQ-080")
YES = {"visceral": "yes", "sensitive": "yes"}
NO = {"visceral": "no", "sensitive": "yes"}
Who = tuple[str, dict[str, str]]  # a centre by its country and a number, and the factor levels


def a_study(limit: int, conditions: str, **more: Any) -> Study:
    cap = f'\n[[caps]]\nkey = "some"\nlabel = "Some of them"\nlimit = {limit}\n{conditions}\n'
    return make.a_study(more=cap, **more)


def centres_of(study: Study) -> dict[str, Centre]:
    places = [("FR1", "FR", "3301"), ("FR2", "FR", "3302"), ("DE1", "DE", "4901")]
    return {
        name: make.a_centre(study, number=number, country_code=code, country_name=code)
        for name, code, number in places
    }


def full(subject: Subject) -> Problem:
    with pytest.raises(Problem) as refused:
        randomize(subject, by=make.TESTER)
    subject.refresh_from_db()
    assert subject.status == "eligible"
    return refused.value


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("conditions", "counted", "one_more", "other"),
    [
        ("", [("FR1", YES), ("DE1", NO)], ("FR2", NO), None),
        ('where = { visceral = ["yes"] }', [("FR1", YES), ("DE1", YES)], ("FR2", YES), ("FR1", NO)),
        (
            'where = { visceral = ["yes", "no"], sensitive = ["yes"] }',
            [("FR1", YES), ("DE1", NO)],
            ("FR2", NO),
            ("FR1", YES | {"sensitive": "no"}),
        ),
        ('countries = ["FR"]', [("FR1", YES), ("FR2", NO)], ("FR2", YES), ("DE1", YES)),
        ('centres = ["3301"]', [("FR1", YES), ("FR1", NO)], ("FR1", YES), ("FR2", YES)),
        ('centres = ["3301", "4901"]', [("FR1", YES), ("DE1", NO)], ("DE1", YES), ("FR2", YES)),
        ('each = "centre"', [("FR1", YES), ("FR1", NO)], ("FR1", NO), ("FR2", YES)),
        ('each = "country"', [("FR1", YES), ("FR2", NO)], ("FR1", NO), ("DE1", YES)),
        ('each = "stratum"', [("FR1", YES), ("DE1", YES)], ("FR2", YES), ("FR1", NO)),
        (
            'each = "centre"\nwhere = { visceral = ["no"] }',
            [("FR1", NO), ("FR1", NO)],
            ("FR1", NO),
            ("FR1", YES),
        ),
    ],
)
def test_the_last_place_of_each_kind_of_limit(
    conditions: str, counted: list[Who], one_more: Who, other: Who | None
):
    centres = centres_of(a_study(2, conditions))

    def make_one(who: Who) -> Subject:
        return make.a_subject(centres[who[0]], strata=who[1])

    for who in counted:
        randomize(make_one(who), by=make.TESTER)
    problem = full(make_one(one_more))
    assert problem.code == "cap_reached"
    if other:
        randomize(make_one(other), by=make.TESTER)


@pytest.mark.django_db
def test_the_refusal_does_not_say_which_limit_nor_how_full_it_is():
    told = set()
    for conditions in ('each = "stratum"', 'countries = ["FR"]', 'each = "centre"'):
        centre = centres_of(a_study(1, conditions))["FR1"]
        randomize(make.a_subject(centre), by=make.TESTER)
        problem = full(make.a_subject(centre))
        told.add((problem.code, problem.title, problem.action, problem.status))
        assert problem.errors == {}
    assert len(told) == 1
    assert not any(each.isdigit() for text in list(told.pop())[:3] for each in text)


@pytest.mark.django_db
def test_a_limit_that_is_far_away_costs_two_statements_and_one_near_it_three():
    far = a_study(1000, 'where = { visceral = ["yes"] }', length=300)
    near = a_study(100, 'where = { visceral = ["yes"] }', length=300)
    asked = {}
    for study, wanted in ((far, 2), (near, 3)):
        subject = make.a_subject(make.a_centre(study), strata=YES)
        with CaptureQueriesContext(
            connection,
        ) as seen:
            randomize(subject, by=make.TESTER)
        about = [q["sql"] for q in seen if "enrolment_tally" in q["sql"] or "advisory" in q["sql"]]
        assert len(about) == wanted, about
        asked[study] = about
    assert "pg_try_advisory_xact_lock_shared" in asked[far][0]


@pytest.mark.django_db
def test_the_count_is_the_databases_own_and_the_page_of_the_study_shows_it():
    study = a_study(2, 'each = "country"')
    centres = centres_of(study)
    many_subjects(centres["DE1"], 3, courses=False)
    for _ in range(2):
        randomize(make.a_subject(centres["FR1"], strata=YES), by=make.TESTER)
    assert Tally.objects.get(centre=centres["FR1"]).randomized == 2
    [filling] = fillings(study)
    assert (filling.group, filling.randomized, filling.full) == ("DE", 3, 2)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE enrolment_tally SET randomized = 0",
        "INSERT INTO enrolment_tally (centre_id, levels, randomized)"
        " SELECT centre_id, '{}', -5 FROM enrolment_tally",
        "DELETE FROM enrolment_tally",
    ],
)
def test_nobody_lifts_a_limit_by_writing_the_count(
    committed_db: None, logins: Logins, statement: str
):
    study = a_study(2, 'each = "country"')
    randomize(make.a_subject(centres_of(study)["FR1"], strata=YES), by=make.TESTER)
    with pytest.raises(errors.InsufficientPrivilege):
        logins.blinded().execute(statement)
    assert Tally.objects.get().randomized == 1


@pytest.fixture
def crowd(committed_db: None) -> list[Subject]:
    """Sixteen subjects at eight centres of one country, which takes six more."""
    study = a_study(6, 'countries = ["FR"]')
    centres = [make.a_centre(study) for _ in range(8)]
    return [make.a_subject(centres[n % 8], strata=[YES, NO][n // 8]) for n in range(16)]


def raced(subjects: list[Subject], logins: Logins, kind: str = "randomize") -> list[str]:
    shares = racer.shared_out([each.pk for each in subjects])
    answers = racer.start(logins.url("blinded"), kind, shares).answers()
    return [each["problem"] for each in answers if "problem" in each]


def test_eight_processes_at_eight_centres_cannot_overshoot(crowd: list[Subject], logins: Logins):
    assert raced(crowd, logins) == ["cap_reached"] * 10
    assert Randomization.objects.count() == 6


def test_without_the_lock_they_overshoot(crowd: list[Subject], logins: Logins):
    raced(crowd, logins, "randomize_unlocked")
    assert Randomization.objects.count() > 6


def test_from_far_to_near_at_once(committed_db: None, logins: Logins):
    """Acts that share the lock and acts that hold it alone meet, and nobody is refused."""
    study = make.a_study(length=60)
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('max_connections')::int")
        at_once = cursor.fetchone()[0]
    left = study.definition.study.max_subjects - at_once
    assert left > 8, "the small study is far from its limit at first"
    many_subjects(make.a_centre(study, cover=0), left - 8, courses=False)
    centres = [make.a_centre(study) for _ in range(8)]
    subjects = [make.a_subject(centres[n % 8], strata=[YES, NO][n // 8]) for n in range(16)]
    assert raced(subjects, logins) == []
    assert Randomization.objects.count() == left + 8
