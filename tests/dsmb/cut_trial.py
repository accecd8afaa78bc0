"""A small trial for the open report, whose numbers at the cut were counted by hand."""

from datetime import date

from assessments.corrections.facts import FACTS
from assessments.corrections.services import correct
from assessments.services import miss_visit, record_event, record_read, record_visit
from dispensing.doses import reduce_dose
from dispensing.services import stop_drug
from dsmb.services import cut_data
from enrolment.services import approve_deviation, record_screen_failure, request_deviation
from iwrs import clock
from iwrs.actors import SYSTEM
from iwrs.signatures import Signature
from randomization.marks import mark_in_error, verify_stratum
from tests import factories as make
from trial.services import randomize

BY = make.TESTER
CUT = date(2010, 6, 30)
YES = {"visceral": "yes", "sensitive": "yes"}
NO = {"visceral": "no", "sensitive": "yes"}


def on(month, day, hour=10, minute=0):
    return clock.at(make.at(2010, month, day, hour).replace(minute=minute))


def read(subject, reader, day, response):
    return record_read(subject, reader, by=BY, assessed_on=day, response=response, read_on=day)


class Trial:
    """A small trial whose numbers at the cut were counted by hand; see the test of them."""

    def __init__(self):
        with clock.at(make.at(2009, 12, 1)):
            self.study = make.a_study()
            self.paris = make.a_centre(self.study)
            self.berlin = make.a_centre(
                self.study, country_code="DE", country_name="Germany", time_zone="Europe/Berlin"
            )
        self.progressed()
        self.died_after_new_therapy()
        self.in_treatment()
        self.nothing_known_and_in_error()
        self.after_the_cut()
        with clock.at(make.at(2010, 7, 20)):
            self.cut = cut_data(self.study, by=BY, on=CUT, reason="Planned look")

    def progressed(self):
        with on(1, 10):
            answers = make.passing_answers(self.study.definition) | {"her2_negative": "unknown"}
            subject = make.a_subject(self.paris, strata=YES, eligibility=answers)
            asked = request_deviation(subject, "her2_negative", by=BY, reason="No result")
            signature = Signature("Physician <p@example.org>", clock.now(), "I approve")
            subject = randomize(approve_deviation(asked, by=SYSTEM, signature=signature), by=BY)
            subject = subject.subject
        with on(2, 21):
            visit = subject.visits.get(number=1)
            record_visit(visit, by=BY, on=date(2010, 2, 21), local_response="SD")
            read(subject, "central", date(2010, 2, 21), "SD")
        with on(3, 5):
            read(subject, "local", date(2010, 3, 1), "PD")
            stop_drug(subject, "exemestane", by=BY, on=date(2010, 3, 5), reason="progression")
        with on(7, 2):  # after the cut
            stop_drug(subject, "study_drug", by=BY, on=date(2010, 7, 2), reason="progression")

    def died_after_new_therapy(self):
        with on(1, 20):
            subject = make.a_randomized_subject(self.paris, strata=NO)
        with on(4, 2):
            record_event(subject, "new_therapy", by=BY, on=date(2010, 3, 1))
            record_event(subject, "death", by=BY, on=date(2010, 4, 1))

    def in_treatment(self):
        with on(5, 10):
            subject = make.a_randomized_subject(self.paris, strata=YES)
        with on(6, 30):  # two days after the window
            visit = subject.visits.get(number=1)
            record_visit(visit, by=BY, on=date(2010, 6, 30), local_response="SD")
            reduce_dose(subject, "5mg", by=BY, on=date(2010, 6, 30), reason="Stomatitis")
        with on(7, 10):
            record_event(subject, "lost", by=BY, on=date(2010, 7, 10))

    def nothing_known_and_in_error(self):
        with on(2, 1):
            subject = make.a_randomized_subject(self.berlin, strata=YES)
        with on(3, 20):
            miss_visit(subject.visits.get(number=1), by=BY, why="Ill")
            wrong = read(subject, "central", date(2010, 3, 10), "PD")
            correct(
                *(subject, FACTS["central-read"], wrong.pk, {}),
                by=BY, why="Another's scan", in_error=True,
            )  # fmt: skip
            mark_in_error(subject, by=BY, reason="No consent")
            verify_stratum(subject, NO, by=BY, reason="The report says no")
        with on(7, 5):
            late = subject.visits.get(number=3)
            # It ends the schedule: visit 2, which was open at the cut, is given up.
            record_visit(late, by=BY, on=date(2010, 7, 5), local_response="PD")

    def after_the_cut(self):
        with on(5, 3):
            record_screen_failure(make.a_subject(self.paris), by=BY, reason="Too ill")
            make.a_subject(self.paris)
        with on(6, 30, hour=22, minute=30):  # the cut day in UTC, the next one in Berlin
            make.a_randomized_subject(self.berlin, strata=NO)
