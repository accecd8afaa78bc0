"""A short play: seven weeks at two centres, with refusals, a code break and letters."""

from datetime import timedelta
from typing import Any

from django.core import mail

from assessments.services import record_visit
from assessments.sweep import sweep
from dispensing.services import dispense, hand_over, record_first_dose, request_supply
from dispensing.unblinded.supply import work_supply_runs
from enrolment.models import Centre, Subject
from iwrs import clock, outbox
from iwrs.models import Study
from iwrs.problems import Problem
from iwrs.signatures import Signature
from randomization.services import request_code_break
from tests import factories as make
from tests.blinding import received, stage
from trial.services import randomize

START = make.at(2010, 1, 4)
SIZE = stage.Size(subjects=1, centres=2, kits=480)


def play(cast: stage.Cast) -> dict[str, Any]:
    """Play in the database in use; what sites were answered, what was logged and sent."""
    mail.outbox.clear()
    study = Study.objects.get(pk=cast.study.pk)
    answers: list[Any] = []
    with received.logged() as log:
        for week in range(8):
            moment = START + timedelta(weeks=week)
            with clock.at(moment):
                _week(study, week, answers, log)
        with clock.at(START + timedelta(weeks=8)):
            _what_goes_wrong(study, answers)
    outbox.deliver_due(limit=500)
    return {"answers": answers, "log": log.lines, "letters": stage.letters()}


def _week(study: Study, week: int, answers: list[Any], log: received.Log) -> None:
    if week == 0:
        stage.open_centres(study)
    Study.objects.filter(pk=study.pk).update(replay_now=clock.now())
    request_supply(study, by=make.TESTER)
    with stage.unblinded_at_work(log):
        work_supply_runs()
    if week < 4:
        for centre in Centre.objects.filter(study=study).order_by("number"):
            answers.append(_tried(lambda c=centre: _enrol(c)))
    for subject in Subject.objects.filter(study=study).order_by("pk"):
        visit = subject.visits.filter(due_on__lte=clock.today(), status="due").first()
        if visit is not None:
            answers.append(_tried(lambda v=visit: _visit(v)))
    sweep(study)


def _enrol(centre: Centre) -> Any:
    answer = randomize(make.a_subject(centre), by=make.TESTER)
    subject = answer.subject
    hand_over(subject.dispensations.get(number=0), by=make.TESTER, on=clock.today())
    record_first_dose(subject, by=make.TESTER, on=clock.today())
    return answer.randomization.number, answer.kit.number, str(answer.kit.lot.expires_on)


def _visit(visit: Any) -> Any:
    kit = dispense(visit.dispensation, by=make.TESTER)
    record_visit(visit, by=make.TESTER, on=clock.today(), local_response="SD", ecog=1)
    return kit.number


def _what_goes_wrong(study: Study, answers: list[Any]) -> None:
    """Cover runs out at a centre; kits are asked for that were not sent; a code is asked for."""
    centre = Centre.objects.filter(study=study).order_by("number")[0]
    for _ in range(7):
        answers.append(_tried(lambda: _enrol(centre)))
    subjects = Subject.objects.filter(study=study).order_by("pk")
    with clock.at(START + timedelta(weeks=26)):
        for subject in subjects[:6]:
            last = subject.dispensations.order_by("number").last()
            if last is not None:
                answers.append(_tried(lambda d=last: dispense(d, by=make.TESTER).number))
    signature = Signature("Tester", clock.now(), "I ask for the code")
    for subject in subjects[:2]:
        text = {"reason": "emergency", "explanation": "A test", "signature": signature}
        answers.append(_tried(lambda s=subject, t=text: str(_asked(s, t))))


def _asked(subject: Subject, text: dict[str, Any]) -> Any:
    return request_code_break(subject, by=make.TESTER, **text).subject_id


def _tried(act: Any) -> Any:
    try:
        return act()
    except Problem as problem:
        return problem.code, problem.title, problem.action
    except Exception as problem:  # a planted leak may break more than it means to
        return type(problem).__name__
