"""Acts that span rooms. Randomizing is one of them: slot, kit and schedule in one transaction."""

from dataclasses import dataclass

from assessments.models import Visit
from assessments.services import create_schedule
from dispensing.models import Kit
from dispensing.services import assign, require_cover
from enrolment.accrual import country_stopped, not_in_this_country
from enrolment.models import Subject
from enrolment.records import screening_record
from enrolment.services import open_questions, require_active
from iwrs import clock
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.locks import lock
from iwrs.models import Study
from iwrs.problems import Problem
from iwrs.signatures import Signature
from iwrs.signatures.services import keep, require_shown
from randomization.models import LateEntry, Randomization
from randomization.services import allocate, list_in_use, no_list
from trial.caps import hold_place, require_place
from trial.late import Late, late_record, record_late, require_next_on_paper, require_possible


@dataclass(frozen=True)
class Randomized:
    """What a site learns: the number, the kit to hand over, and whether it is news.

    `paper_number` is empty unless it was made on paper with one.
    """

    subject: Subject
    randomization: Randomization
    kit: Kit | None
    visits: list[Visit]
    first_time: bool
    paper_number: str = ""


def randomize(
    subject: Subject, *, by: Actor, signature: Signature | None = None, late: Late | None = None
) -> Randomized:
    """Randomize a subject: one place in the list, one kit, the six-weekly schedule, or nothing.

    People sign it on their page; an EDC system is let in by its own credentials and signs nothing:
    an investigator confirms it afterwards (`trial.confirming`).
    Idempotent: a subject who is randomized already gets the first answer (`first_time` False).
    Raises `Problem` when the study, the centre or the subject is not ready, and the one identical
    refusal when the centre has no kit. With `late` it happened on paper while the system was down:
    everything is as of that moment, also while accrual of the study is paused. A paper number that
    is not of the next place is refused (`paper_not_next`); with the next one, no pause and no limit
    stands in the way, since it has happened.
    """
    with act("randomize", by=by, why=late.reason if late else ""):
        # The centre first: randomizations at one centre take its cover one after the other, so
        # that running out is seen before a place in the list is taken.
        rows = Subject.objects.select_related("centre__study").annotate(
            listed=list_in_use(), stopped=country_stopped("centre")
        )
        subject = lock(rows, subject.pk, first=["centre"])
        subject.study = subject.centre.study
        if subject.status == Subject.Status.RANDOMIZED:
            return first_answer(subject)
        entered_at = clock.now()
        if late:
            require_possible(subject, late)
        with clock.at(late.occurred_at if late else entered_at):
            _require_ready(subject, late)
            record = screening_record(subject) if signature else None  # the act changes none of it
            if signature and record:
                require_shown(signature, record)
            done = _randomized(subject, by=by, paper_number=late.number if late else "")
        if late:
            entry = record_late(done.randomization, late, done.kit, by=by, at=entered_at)
            record = late_record(entry)
        if signature and record:
            zone = subject.centre.time_zone
            keep(signature, record, study=subject.study, time_zone=zone)
        return done


def _randomized(subject: Subject, *, by: Actor, paper_number: str) -> Randomized:
    """Place, kit and schedule of a subject who is ready, within the act.

    With the number of a paper, the place and the kit are those that the paper gave, or none.
    """
    # The schedule first and the place late: others of the stratum wait from there on.
    moment = clock.now()
    today = clock.local_date(moment, subject.centre.time_zone)
    plan = create_schedule(subject, anchor=today)
    if paper_number:
        require_next_on_paper(subject, paper_number, on=today)
    randomization = allocate(subject, by=by, at=moment, paper_number=paper_number)
    kit = assign(plan.dispensations[0], on=today)
    return Randomized(subject, randomization, kit, plan.visits, True, paper_number)


def first_answer(subject: Subject) -> Randomized:
    """What was answered when the subject was randomized."""
    first = subject.dispensations.filter(number=0).select_related("kit__lot").first()
    ahead = subject.study.definition.schedule.plan_ahead
    visits = list(subject.visits.filter(number__lte=ahead).order_by("number"))
    late = LateEntry.objects.filter(randomization=subject.randomization).first()
    kit, number = first.kit if first else None, late.paper_number if late else ""
    return Randomized(subject, subject.randomization, kit, visits, False, number)


def _require_ready(subject: Subject, late: Late | None) -> None:
    """Raise `Problem` unless the subject can be randomized.

    What a paper with a number gave has happened, whatever limit or pause there was: refused, it
    would bar the way of everybody after it. The gate lets no other number in.
    """
    on_paper = late is not None and bool(late.number)
    if not on_paper:
        _require_open(subject, paused_too=late is not None)
    if subject.status == Subject.Status.SCREEN_FAILED:
        raise Problem(code="screen_failed", title=f"Subject {subject.number} is a screen failure.")
    if subject.status != Subject.Status.ELIGIBLE:
        raise not_ready(subject)
    if not getattr(subject, "listed"):  # noqa: B009 - an annotation, unknown to the type checker
        raise no_list()
    if on_paper:
        hold_place(subject)
    else:
        require_place(subject)
        require_cover(subject.centre, clock.today(subject.centre.time_zone))


def _require_open(subject: Subject, *, paused_too: bool) -> None:
    """Raise `Problem` unless study, centre and country take subjects."""
    states = {Study.Status.OPEN, Study.Status.PAUSED} if paused_too else {Study.Status.OPEN}
    if subject.study.status not in states:
        raise Problem(
            code="accrual_not_open",
            title="The study is not open to accrual.",
            action=f"Its state is: {subject.study.get_status_display()}.",
        )
    require_active(subject.centre)
    if getattr(subject, "stopped"):  # noqa: B009 - an annotation, unknown to the type checker
        raise not_in_this_country(subject.centre)


def not_ready(subject: Subject) -> Problem:
    """Why a subject in screening cannot be randomized, one text a question."""
    errors = {
        f"eligibility.{question.criterion.key}": (
            f"{question.criterion.question} "
            + (f"Answered: {question.answer}." if question.answered else "Not answered.")
        )
        for question in open_questions(subject)
    }
    for factor in subject.study.definition.factors:
        if not subject.strata.get(factor.key):
            errors[f"strata.{factor.key}"] = f"{factor.question} Not answered."
    return Problem(
        code="not_eligible",
        title=f"Subject {subject.number} is not eligible.",
        action="Complete or correct the screening answers, or record a screen failure.",
        errors=errors,
    )
