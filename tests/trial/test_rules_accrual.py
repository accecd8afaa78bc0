"""No more subjects than the definition allows, also when many are randomized at once."""

import pytest

from enrolment.models import Subject
from iwrs.problems import Problem
from randomization.models import Randomization
from tests import factories as make
from tests.concurrency import racer
from tests.dsmb.rows import many_subjects
from tests.roles import Logins
from trial.services import randomize

LIMIT = 120  # max_subjects of the small study
STRATA = [{"visceral": answer, "sensitive": "yes"} for answer in ("yes", "no")]


def nearly_full(left: int) -> list[Subject]:
    """Sixteen eligible subjects at eight centres of a study that has `left` places."""
    study = make.a_study()
    assert study.definition.study.max_subjects == LIMIT
    centres = [make.a_centre(study) for _ in range(8)]
    many_subjects(make.a_centre(study, cover=0), LIMIT - left, courses=False)
    return [make.a_subject(centres[n % 8], strata=STRATA[n // 8]) for n in range(16)]


@pytest.mark.django_db
def test_the_last_place_is_the_last():
    last, one_more, *_ = nearly_full(left=1)
    randomize(last, by=make.TESTER)
    with pytest.raises(Problem) as refused:
        randomize(one_more, by=make.TESTER)
    assert refused.value.code == "accrual_full"
    one_more.refresh_from_db()
    assert one_more.status == "eligible"
    assert not randomize(last, by=make.TESTER).first_time


def raced(subjects: list[Subject], logins: Logins, kind: str = "randomize") -> list[str]:
    """The problems that eight processes were told who randomize these subjects at once."""
    shares = racer.shared_out([each.pk for each in subjects])
    answers = racer.start(logins.url("blinded"), kind, shares).answers()
    return [each["problem"] for each in answers if "problem" in each]


def test_eight_processes_cannot_overshoot(committed_db: None, logins: Logins):
    subjects = nearly_full(left=5)
    assert raced(subjects, logins) == ["accrual_full"] * (len(subjects) - 5)
    assert Randomization.objects.count() == LIMIT


def test_without_the_lock_they_overshoot(committed_db: None, logins: Logins):
    subjects = nearly_full(left=1)
    raced(subjects, logins, "randomize_unlocked")
    assert Randomization.objects.count() > LIMIT
