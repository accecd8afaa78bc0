"""A list is closed when nobody is to be randomized from it any more."""

from threading import Thread

import psycopg
import pytest

from iwrs import clock, studies
from iwrs.models import Study
from iwrs.problems import Problem
from iwrs.signatures import Signature
from randomization.unblinded.closing import close_list
from randomization.unblinded.models import Allocation, RandomizationList
from tests import factories as make
from tests.dsmb.test_unblinding import FIRST, list_in_use_of
from tests.roles import Logins, as_unblinded


class TestClosing:
    def close(self, study: Study, why: str = "Recruited") -> RandomizationList:
        with as_unblinded():
            made = RandomizationList.objects.get(study=study, status="active")
            signature = Signature(FIRST.label, clock.now(), "Not to be used any more")
            return close_list(made, by=FIRST, why=why, signature=signature)

    def test_not_while_the_study_is_open(self, db):
        study = make.a_study(length=9)
        with pytest.raises(Problem) as refused:
            self.close(study)
        assert refused.value.code == "accrual_open"

    def test_nobody_is_randomized_from_a_closed_list(self, db):
        study = make.a_study(length=9)
        subject = make.a_subject(make.a_centre(study))
        studies.set_status(study, "paused", by=make.TESTER)
        with pytest.raises(Problem):
            self.close(study, why=" ")
        assert self.close(study).status == "closed"
        studies.set_status(study, "open", by=make.TESTER)
        from trial.services import randomize

        with pytest.raises(Problem) as refused:
            randomize(subject, by=make.TESTER)
        assert refused.value.code == "no_list"
        assert not Study.objects.filter(list_in_use_of(), pk=study.pk).exists()

    def test_a_call_that_waited_for_the_closing_finds_the_list_closed(
        self, committed_db, logins: Logins
    ):
        subject = make.a_subject(make.a_centre(make.a_study(length=9)))
        closing, caller = logins.owner(), logins.blinded()
        said: list[str] = []

        def allocate() -> None:
            try:
                caller.execute("SELECT gate.allocate(%s)", [subject.pk])
            except psycopg.Error as error:
                said.append(str(error.sqlstate))

        with closing.transaction():
            closing.execute("SELECT 1 FROM unblinded.stratum_cursor FOR UPDATE")
            thread = Thread(target=allocate)
            thread.start()
            from tests.concurrency.test_broken_off import waiting_backend

            waiting_backend(logins.owner())
            closing.execute("UPDATE unblinded.list SET status = 'closed'")
        thread.join()
        assert said == ["40001"]  # busy: the caller tries again, and is told that there is no list
        with as_unblinded():
            assert not Allocation.objects.exists()
