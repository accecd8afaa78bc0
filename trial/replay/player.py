"""Plays a tape through the same services as the portal and the API use."""

from collections.abc import Callable, Sequence
from datetime import date, datetime

from assessments import services as assessments
from assessments.models import SubjectEvent, TumourRead, Visit
from assessments.sweep import sweep
from dispensing import services as dispensing
from dispensing.models import Dispensation
from enrolment import services as enrolment
from enrolment.models import Centre, Subject
from iwrs import clock
from iwrs.accounts.models import Role
from iwrs.actors import Actor
from iwrs.models import Study
from iwrs.problems import Problem
from iwrs.signatures import Signature
from randomization.drills import practise
from trial.nature import Nature, PatientCourse, ScreenFailure
from trial.replay.tape import Act, Step, tape
from trial.services import randomize

MANAGER = Actor("Study manager (simulated)", kind="person")
RADIOLOGY = Actor("Central radiology (simulated)", kind="person")
DEVIATION = "her2_negative"


class Player:
    """One replay of `nature` in `study`. `supply(moment)` asks for a supply run and waits.

    Every step runs under `clock.at(step.moment)`; the study keeps the present moment in its row
    at each supply run, so that pages opened meanwhile show the same time.
    """

    def __init__(self, nature: Nature, study: Study, supply: Callable[[datetime], None]) -> None:
        self.nature = nature
        self.study = study
        self.supply = supply
        self.steps = tape(nature, study.definition.schedule)
        self.centres: dict[str, Centre] = {c.number: c for c in study.centres.all()}
        self.subjects: dict[int, Subject] = {}
        self._verbs: dict[Act, Callable[[Step], object]] = {
            Act.ACTIVATE: self._activate,
            Act.SUPPLY: self._supply,
            Act.SWEEP: lambda step: sweep(self.study),
            Act.SCREEN: self._screen,
            Act.FAIL: self._fail,
            Act.RANDOMIZE: self._randomize,
            Act.HAND_OVER: self._hand_over,
            Act.FIRST_DOSE: self._first_dose,
            Act.MISS: self._miss,
            Act.VISIT: self._visit,
            Act.DISPENSE: self._dispense,
            Act.CENTRAL_READ: self._central_read,
            Act.STOP: self._stop,
            Act.NEW_THERAPY: lambda step: self._event(step, SubjectEvent.Kind.NEW_THERAPY),
            Act.CONTACT: self._contact,
            Act.WITHDRAWAL: lambda step: self._event(step, SubjectEvent.Kind.WITHDRAWAL),
            Act.DEATH: lambda step: self._event(step, SubjectEvent.Kind.DEATH),
        }

    def play(self, steps: Sequence[Step] | None = None) -> None:
        """Play these steps, or the whole tape."""
        for step in self.steps if steps is None else steps:
            with clock.at(step.moment):
                try:
                    self._verbs[step.act](step)
                except Problem as problem:
                    problem.add_note(f"at {step}")
                    raise

    def _patient(self, step: Step) -> PatientCourse:
        return self.nature.patients[step.who]

    def _site(self, centre: Centre) -> Actor:
        return Actor(f"Coordinator of centre {centre.number} (simulated)", kind="person")

    def _by(self, subject: Subject) -> Actor:
        return self._site(subject.centre)

    def _activate(self, step: Step) -> None:
        spec = self.nature.centres[step.who]
        centre = self.centres[spec.number]
        investigator = Actor(
            f"Investigator of centre {centre.number} (simulated)", "person", role=Role.INVESTIGATOR
        )
        signature = Signature(investigator.label, clock.now(), "I practise a code break")
        practise(centre, by=investigator, signature=signature)
        self.centres[spec.number] = enrolment.activate_centre(
            centre, by=MANAGER, ethics_approved_on=spec.ethics_approved_on
        )

    def _supply(self, step: Step) -> None:
        Study.objects.filter(pk=self.study.pk).update(replay_now=step.moment)
        self.supply(step.moment)

    def _answers(self, course: PatientCourse | ScreenFailure) -> enrolment.Screening:
        answers = {
            question.key: "yes" if question.kind == "include" else "no"
            for question in self.study.definition.eligibility
        }
        if isinstance(course, ScreenFailure) and course.why_not in answers:
            answers[course.why_not] = "no" if answers[course.why_not] == "yes" else "yes"
        if isinstance(course, PatientCourse) and course.her2_deviation:
            answers[DEVIATION] = "unknown"
        known = {item.key for item in self.study.definition.baseline}
        baseline: dict[str, object] = {"ecog": "1"} if isinstance(course, ScreenFailure) else {}
        for key, value in course.baseline.items():
            if key in known and value is not None:
                baseline[key] = value
        return enrolment.Screening(course.consent_on, course.strata, answers, baseline)

    def _screen(self, step: Step) -> None:
        patient = self._patient(step)
        centre = self.centres[patient.centre]
        site = self._site(centre)
        subject = enrolment.screen(centre, self._answers(patient), by=site)
        if patient.her2_deviation:
            deviation = enrolment.request_deviation(
                subject, DEVIATION, by=site, reason="The laboratory gave no result."
            )
            signature = Signature(MANAGER.label, clock.now(), "I approve this deviation")
            subject = enrolment.approve_deviation(deviation, by=MANAGER, signature=signature)
        subject.centre = centre
        self.subjects[step.who] = subject

    def _fail(self, step: Step) -> None:
        failure = self.nature.screen_failures[step.who]
        centre = self.centres[failure.centre]
        subject = enrolment.screen(centre, self._answers(failure), by=self._site(centre))
        questions = {q.key: q.question for q in self.study.definition.eligibility}
        reason = questions.get(failure.why_not, failure.why_not)
        enrolment.record_screen_failure(subject, by=self._site(centre), reason=reason)

    def _randomize(self, step: Step) -> None:
        subject = self.subjects[step.who]
        self.subjects[step.who] = randomize(subject, by=self._by(subject)).subject

    def _dispensation(self, subject: Subject, number: int) -> Dispensation:
        return Dispensation.objects.get(subject=subject, number=number)

    def _hand_over(self, step: Step) -> None:
        subject = self.subjects[step.who]
        dispensing.hand_over(self._dispensation(subject, 0), by=self._by(subject), on=step.day)

    def _first_dose(self, step: Step) -> None:
        subject = self.subjects[step.who]
        dispensing.record_first_dose(subject, by=self._by(subject), on=step.day)

    def _visit_row(self, step: Step) -> Visit:
        return Visit.objects.get(
            subject=self.subjects[step.who], number=int(str(step.details["number"]))
        )

    def _miss(self, step: Step) -> None:
        by = self._by(self.subjects[step.who])
        assessments.miss_visit(self._visit_row(step), by=by, why="The subject did not come.")

    def _visit(self, step: Step) -> None:
        assessments.record_visit(
            self._visit_row(step),
            by=self._by(self.subjects[step.who]),
            on=step.day,
            local_response=str(step.details["response"]),
        )

    def _dispense(self, step: Step) -> None:
        subject = self.subjects[step.who]
        dispensation = self._dispensation(subject, int(str(step.details["number"])))
        dispensing.dispense(dispensation, by=self._by(subject))
        dispensing.hand_over(dispensation, by=self._by(subject), on=step.day)

    def _central_read(self, step: Step) -> None:
        assessed_on = step.details["assessed_on"]
        assert isinstance(assessed_on, date)
        assessments.record_read(
            self.subjects[step.who],
            TumourRead.Reader.CENTRAL,
            by=RADIOLOGY,
            assessed_on=assessed_on,
            response=str(step.details["response"]),
            read_on=step.day,
        )

    def _stop(self, step: Step) -> None:
        subject = self.subjects[step.who]
        dispensing.stop_drug(
            subject,
            str(step.details["drug"]),
            by=self._by(subject),
            on=step.day,
            reason=str(step.details["reason"]),
        )

    def _contact(self, step: Step) -> None:
        subject = self.subjects[step.who]
        assessments.record_contact(subject, by=self._by(subject), on=step.day)

    def _event(self, step: Step, kind: str) -> None:
        subject = self.subjects[step.who]
        assessments.record_event(subject, kind, by=self._by(subject), on=step.day)


def add_centres(nature: Nature, study: Study) -> None:
    """Register the centres of the simulated trial, in preparation."""
    for spec in nature.centres:
        enrolment.add_centre(
            study,
            by=MANAGER,
            number=spec.number,
            name=spec.name,
            country_code=spec.country_code,
            country_name=spec.country_name,
            time_zone=spec.time_zone,
        )
