"""Limits and a randomization on paper: let in whatever is full, and counted by the next one."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

import pytest
from django.db import transaction

from enrolment.models import Subject
from iwrs import clock
from randomization.models import Randomization
from tests import factories as make
from tests.code_break.desk import a_desk, a_keyed_holder
from tests.concurrency import racer
from tests.concurrency.test_broken_off import waiting_backend
from tests.roles import Logins
from tests.trial.test_paper import BEFORE, NOW, OUTAGE, THEN
from trial import services
from trial.late import Late
from trial.services import randomize

pytestmark = [pytest.mark.requirement("REQ-080"), pytest.mark.requirement("REQ-071")]
CAP = '\n[[caps]]\nkey = "fr"\nlabel = "France"\nlimit = 1\ncountries = ["FR"]\n'
YES, NO = {"visceral": "yes"}, {"visceral": "no"}


@pytest.fixture
def last_place(committed_db: None) -> tuple[Subject, Late, Subject]:
    """One who was randomized on paper, and one of another centre and stratum: one place is left."""
    with clock.at(BEFORE):
        study = make.a_study(more=CAP)
        here, there = (make.a_centre(study, country_code="FR", cover=0) for _ in range(2))
        for centre in (here, there):
            make.a_cohort(centre, size=2, expires_on=date(2040, 1, 1))
        desk = a_desk(study, a_keyed_holder(study))
    with clock.at(NOW):
        late = make.a_subject(here, consent_on=date(2010, 3, 1), strata=YES | {"sensitive": "no"})
        live = make.a_subject(there, consent_on=date(2010, 3, 1), strata=NO | {"sensitive": "no"})
    return late, Late(THEN, OUTAGE, "", desk.randomize(late).paper_number), live


@contextmanager
def entered_but_not_committed(subject: Subject, late: Late) -> Iterator[None]:
    """The act of a paper entry is done, and its transaction open until the end of the block."""
    block = transaction.atomic()
    block._from_testcase = True  # type: ignore[attr-defined]
    with block:
        with clock.at(NOW):
            randomize(subject, by=make.TESTER, late=late)
        yield


def test_the_next_one_waits_for_it_and_counts_it(
    last_place: tuple[Subject, Late, Subject], logins: Logins
) -> None:
    late, told, live = last_place
    with entered_but_not_committed(late, told):
        race = racer.start(logins.url("blinded"), "randomize", [[live.pk]])
        waiting_backend(logins.owner())
    assert race.answers() == [{"subject": live.pk, "problem": "cap_reached"}]
    assert Randomization.objects.count() == 1


def test_without_the_lock_the_limit_is_overshot(
    last_place: tuple[Subject, Late, Subject], logins: Logins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "hold_place", lambda subject: None)
    late, told, live = last_place
    with entered_but_not_committed(late, told):
        answers: list[dict[str, Any]] = racer.start(
            logins.url("blinded"), "randomize", [[live.pk]]
        ).answers()
    assert [each.get("problem") for each in answers] == [None]
    assert Randomization.objects.count() == 2
