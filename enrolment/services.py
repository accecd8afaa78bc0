"""The verbs of room 1: centres, people at them, screening, deviations."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date

from enrolment.accrual import country_stopped, not_in_this_country
from enrolment.eligibility import Unmet, unmet, wrong_answers, wrong_baseline
from enrolment.models import Centre, CentreRole, Deviation, EligibilityAnswer, Subject
from enrolment.records import centre_record, deviation_record
from iwrs import clock
from iwrs.accounts.models import User
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.definition import StratumAnswerError
from iwrs.locks import lock
from iwrs.models import Study
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Signature
from iwrs.signatures.services import keep, require_shown


@dataclass(frozen=True)
class Screening:
    """What a site knows of a subject at screening. Keys are those of the study definition."""

    consent_on: date | None
    strata: Mapping[str, str] = field(default_factory=dict)
    eligibility: Mapping[str, str] = field(default_factory=dict)
    baseline: Mapping[str, object] = field(default_factory=dict)


def add_centre(study: Study, *, by: Actor, **fields: object) -> Centre:
    """Add a centre in preparation. `fields` are those of the `Centre` model."""
    with act("add centre", by=by):
        return Centre.objects.create(study=study, **fields)


def activate_centre(
    centre: Centre,
    *,
    by: Actor,
    ethics_approved_on: date | None = None,
    signature: Signature | None = None,
) -> Centre:
    """Let a centre enrol. Needs the ethics approval in force (ICH E6(R3) 4.3.5) and a drill.

    People sign it on their page; a command or a replay does not.
    """
    with act("activate centre", by=by, why=signature.meaning if signature else ""):
        centre = lock(Centre.objects.select_related("study"), centre.pk)
        if signature:
            require_shown(signature, centre_record(centre))
        _require_status(centre, {Centre.Status.PLANNED, Centre.Status.SUSPENDED})
        if ethics_approved_on is not None:
            centre.ethics_approved_on = ethics_approved_on
        if centre.ethics_approved_on is None:
            raise Invalid(
                {"ethics_approved_on": "A centre needs its ethics approval before it is active."}
            )
        if centre.ethics_approved_on > clock.today(centre.time_zone):
            raise Invalid({"ethics_approved_on": "This day is in the future."})
        _require_drill(centre)
        centre.status = Centre.Status.ACTIVE
        centre.activated_at = centre.activated_at or clock.now()
        centre.save()
        if signature:
            zone = centre.time_zone
            keep(signature, centre_record(centre), study=centre.study, time_zone=zone)
        return centre


def suspend_centre(centre: Centre, *, by: Actor, why: str) -> Centre:
    """Stop screening and randomization at a centre; subjects in the study go on."""
    with act("suspend centre", by=by, why=why):
        centre = lock(Centre.objects, centre.pk)
        _require_status(centre, {Centre.Status.ACTIVE})
        centre.status = Centre.Status.SUSPENDED
        centre.save(update_fields=["status"])
        return centre


def give_centre_role(
    user: User, centre: Centre, role: str, *, by: Actor, since: date
) -> CentreRole:
    """Give a person a role at a centre; giving it again changes nothing."""
    with act("give centre role", by=by):
        granted, _ = CentreRole.objects.get_or_create(
            user=user, centre=centre, role=role, defaults={"since": since}
        )
        return granted


def screen(centre: Centre, screening: Screening, *, by: Actor) -> Subject:
    """Register a subject with the answers of screening; the subject's number is given here.

    The subject is eligible when every question is met, otherwise in screening. Raises `Invalid`
    with one text a field, `Problem` when the centre may not enrol. Nothing is half-written.
    """
    with act("screen", by=by):
        return register(lock(Centre.objects.select_related("study"), centre.pk), screening)


def register(centre: Centre, screening: Screening, *, before: Subject | None = None) -> Subject:
    """Give a new subject the centre's next number, within an open act that locked the centre.

    `before` is the same person at an earlier screening.
    """
    require_active(centre)
    if Centre.objects.filter(country_stopped(""), pk=centre.pk).exists():
        raise not_in_this_country(centre)
    consent_on = _checked_consent(centre, screening)
    centre.last_subject_sequence += 1
    centre.save(update_fields=["last_subject_sequence"])
    subject = Subject(
        study=centre.study,
        centre=centre,
        number=f"{centre.number}-{centre.last_subject_sequence:03d}",
        consent_on=consent_on,
        screened_at=clock.now(),
        strata=dict(screening.strata),
        baseline=dict(screening.baseline),
        rescreen_of=before,
        rescreening=before.rescreening + 1 if before else 0,
    )
    _decide(subject, screening.eligibility, set_aside=())
    subject.save()
    EligibilityAnswer.objects.bulk_create(
        EligibilityAnswer(subject=subject, question=key, answer=answer)
        for key, answer in screening.eligibility.items()
    )
    return subject


def change_answers(subject: Subject, screening: Screening, *, by: Actor, why: str) -> Subject:
    """Replace the answers of a subject who is not yet randomized."""
    with act("change screening answers", by=by, why=why):
        subject = lock(Subject.objects.select_related("centre__study"), subject.pk)
        _require_undecided(subject)
        subject.consent_on = _checked_consent(subject.centre, screening)
        subject.strata = dict(screening.strata)
        subject.baseline = dict(screening.baseline)
        for key, answer in screening.eligibility.items():
            EligibilityAnswer.objects.update_or_create(
                subject=subject, question=key, defaults={"answer": answer}
            )
        _decide(subject, answers_of(subject), set_aside=_set_aside(subject))
        subject.save()
        return subject


def record_screen_failure(subject: Subject, *, by: Actor, reason: str) -> Subject:
    """End the screening of a subject who will not be randomized. The number stays used."""
    if not reason.strip():
        raise Invalid({"reason": "Say why the subject is not randomized."})
    with act("record screen failure", by=by, why=reason):
        subject = lock(Subject.objects, subject.pk)
        _require_undecided(subject)
        subject.status = Subject.Status.SCREEN_FAILED
        subject.failure_reason = reason.strip()
        subject.decided_at = clock.now()
        subject.save()
        return subject


def request_deviation(subject: Subject, question: str, *, by: Actor, reason: str) -> Deviation:
    """Ask to set one question aside for one subject, where the definition allows it."""
    if not reason.strip():
        raise Invalid({"reason": "Say why the subject may be randomized all the same."})
    with act("request deviation", by=by, why=reason):
        subject = lock(Subject.objects.select_related("study"), subject.pk)
        _require_undecided(subject)
        criteria = {c.key: c for c in subject.study.definition.eligibility}
        if question not in criteria or not criteria[question].deviation_allowed:
            raise Invalid({"question": "The study allows no deviation from this question."})
        if subject.deviations.filter(question=question).exists():
            raise Invalid({"question": "A deviation was already requested for this question."})
        return Deviation.objects.create(
            subject=subject,
            question=question,
            reason=reason.strip(),
            requested_by=by.label,
            requested_at=clock.now(),
        )


def approve_deviation(deviation: Deviation, *, by: Actor, signature: Signature) -> Subject:
    """Approve a deviation, by another person than asked for it; the subject is decided again."""
    with act("approve deviation", by=by, why=signature.meaning):
        subject = lock(Subject.objects.select_related("centre__study"), deviation.subject_id)
        _require_undecided(subject)
        deviation = lock(Deviation.objects.select_related("subject"), deviation.pk)
        record = deviation_record(deviation)
        require_shown(signature, record)
        if deviation.approved_at is not None:
            raise Problem(
                code="deviation_approved",
                title="This deviation is already approved.",
                action=f"It was approved by {deviation.approved_by}.",
            )
        if deviation.requested_by == by.label:
            raise Problem(
                code="same_person",
                title="The person who asked for a deviation cannot approve it.",
                action="Ask another person with the right to approve.",
            )
        deviation.approved_by = by.label
        deviation.approved_at = signature.signed_at
        deviation.save()
        centre = subject.centre
        keep(signature, record, study=centre.study, time_zone=centre.time_zone)
        _decide(subject, answers_of(subject), set_aside=_set_aside(subject))
        subject.save()
        return subject


def answers_of(subject: Subject) -> dict[str, str]:
    """Question key to answer."""
    return dict(subject.eligibility.values_list("question", "answer"))


def open_questions(subject: Subject) -> list[Unmet]:
    """What still stands between the subject and randomization."""
    return unmet(subject.study.definition, answers_of(subject), _set_aside(subject))


def require_active(centre: Centre) -> None:
    """Raise unless the centre may enrol: active, with its ethics approval."""
    if centre.status != Centre.Status.ACTIVE or centre.ethics_approved_on is None:
        raise Problem(
            code="centre_not_active",
            title=f"Centre {centre.number} is not active.",
            action="Subjects can be enrolled when the study manager has activated the centre.",
        )


def _require_drill(centre: Centre) -> None:
    if not centre.drills.filter(finished_at__isnull=False).exists():
        raise Problem(
            code="drill_missing",
            title=f"No code break drill was done at centre {centre.number}.",
            action="An investigator of the centre signs in, opens the page of the centre and "
            "practises a code break. Then activate the centre.",
        )


def _require_status(centre: Centre, allowed: Collection[str]) -> None:
    if centre.status not in allowed:
        names = " or ".join(sorted(Centre.Status(each).label.lower() for each in allowed))
        raise Problem(
            code="centre_status",
            title=f"Centre {centre.number} is {centre.get_status_display().lower()}.",
            action=f"This can be done with a centre that is {names}.",
        )


def _set_aside(subject: Subject) -> set[str]:
    approved = subject.deviations.filter(approved_at__isnull=False)
    return set(approved.values_list("question", flat=True))


def _require_undecided(subject: Subject) -> None:
    if subject.status not in {Subject.Status.SCREENING, Subject.Status.ELIGIBLE}:
        raise Problem(
            code="not_in_screening",
            title=f"Subject {subject.number} is not in screening any more.",
            action=f"The subject's state is: {subject.get_status_display()}.",
        )


def _checked_consent(centre: Centre, screening: Screening) -> date:
    """The day of consent, or `Invalid` with every field that is wrong, all at once."""
    definition = centre.study.definition
    problems = wrong_answers(definition, screening.eligibility)
    problems |= wrong_baseline(definition, screening.baseline)
    if screening.consent_on is None:
        problems["consent_on"] = "Give the day on which the subject signed the consent."
    elif screening.consent_on > clock.today(centre.time_zone):
        problems["consent_on"] = "This day is in the future."
    factors = {factor.key: factor for factor in definition.factors}
    for key, level in screening.strata.items():
        if key not in factors:
            problems[f"strata.{key}"] = "This is not a factor of the study."
        elif level and level not in {each.key for each in factors[key].levels}:
            allowed = ", ".join(each.key for each in factors[key].levels)
            problems[f"strata.{key}"] = f"Answer with one of: {allowed}."
    if problems or screening.consent_on is None:
        raise Invalid(problems)
    return screening.consent_on


def _decide(subject: Subject, answers: Mapping[str, str], *, set_aside: Collection[str]) -> None:
    """Set status and stratum from the answers as they are now."""
    definition, centre = subject.study.definition, subject.centre
    site = definition.randomization.site_levels(centre.country_code, centre.number)
    try:
        subject.stratum_key = definition.stratum_key(subject.strata, site)
    except StratumAnswerError:
        subject.stratum_key = ""
    ready = subject.stratum_key and not unmet(definition, answers, set_aside)
    subject.status = Subject.Status.ELIGIBLE if ready else Subject.Status.SCREENING
    subject.decided_at = clock.now() if ready else None
