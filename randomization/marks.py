"""The verbs for a randomization that was wrong: a mark, and the stratum as verified.

Nothing that the allocation used is rewritten: the place in the list, the stratum and the kit stay.
"""

from collections.abc import Mapping

from enrolment.models import Subject
from iwrs import clock
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.locks import lock
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Record, Signature
from iwrs.signatures.services import keep, require_shown
from randomization.models import Randomization, RandomizedInError, VerifiedStratum


def mark_in_error(
    subject: Subject, *, by: Actor, reason: str, signature: Signature | None = None
) -> RandomizedInError:
    """Mark for good that a subject should not have been randomized. People sign it.

    Visits and kits go on: stopping a drug is an act of its own. Raises `Invalid` without a reason,
    `Problem` when the subject is not randomized or is marked already.
    """
    with act("mark as randomized in error", by=by, why=reason):
        subject, randomization = _locked(subject)
        if signature:
            require_shown(signature, randomization_record(subject, randomization))
        if not reason.strip():
            raise Invalid({"reason": "Say why the subject should not have been randomized."})
        if RandomizedInError.objects.filter(randomization=randomization).exists():
            raise Problem(
                code="marked_in_error",
                title=f"Subject {subject.number} is already marked as randomized in error.",
                action="The mark stays. Nothing was changed.",
            )
        mark = RandomizedInError.objects.create(
            randomization=randomization,
            reason=reason.strip(),
            marked_by=by.label,
            marked_at=clock.now(),
        )
        if signature:
            _keep(signature, mark_record(mark), subject)
        return mark


def verify_stratum(
    subject: Subject,
    levels: Mapping[str, str],
    *,
    by: Actor,
    reason: str,
    signature: Signature | None = None,
) -> VerifiedStratum:
    """Record the levels that should have been answered, beside those that were used.

    `levels` answers every factor. Raises `Invalid` with one text a field, also when nothing
    differs from what stands now; `Problem` when the subject is not randomized. People sign it.
    """
    with act("verify the stratum", by=by, why=reason):
        subject, randomization = _locked(subject)
        if signature:
            require_shown(signature, randomization_record(subject, randomization))
        problems = {
            f"strata.{factor.key}": f"Answer with one of: {', '.join(known)}."
            for factor in subject.study.definition.factors
            if levels.get(factor.key) not in (known := [each.key for each in factor.levels])
        }
        if not reason.strip():
            problems["reason"] = "Say how the right answer is known."
        if problems:
            raise Invalid(problems)
        chosen = {each.key: levels[each.key] for each in subject.study.definition.factors}
        if chosen == levels_now(randomization):
            raise Invalid(
                {}, title="Nothing was changed.", action="Change what was wrong, then sign."
            )
        made = VerifiedStratum.objects.create(
            randomization=randomization,
            levels=chosen,
            reason=reason.strip(),
            verified_by=by.label,
            verified_at=clock.now(),
        )
        if signature:
            _keep(signature, stratum_record(made), subject)
        return made


def levels_now(randomization: Randomization) -> dict[str, str]:
    """Factor to level: the newest verified ones, else those that the allocation used."""
    verified = list(randomization.verified_strata.all())  # may be prefetched
    return dict(verified[-1].levels if verified else randomization.subject.strata)


def randomization_record(subject: Subject, randomization: Randomization) -> Record:
    """A randomization as it stands when somebody is about to say what was wrong with it."""
    return Record(
        "a randomization",
        randomization.pk,
        {
            "centre": subject.centre.number,
            "subject": subject.number,
            "number": randomization.number,
            "strata used": subject.strata,
            "strata now": levels_now(randomization),
            "in error": hasattr(randomization, "in_error"),
        },
    )


def mark_record(mark: RandomizedInError) -> Record:
    """The mark that a subject was randomized in error, with the reason."""
    randomization = mark.randomization
    return Record(
        "randomized in error",
        mark.pk,
        {
            "subject": randomization.subject.number,
            "number": randomization.number,
            "reason": mark.reason,
        },
    )


def stratum_record(made: VerifiedStratum) -> Record:
    """The levels that were used, those that are right, and how that is known."""
    subject = made.randomization.subject
    return Record(
        "verified stratum",
        made.pk,
        {
            "subject": subject.number,
            "strata used": subject.strata,
            "strata verified": made.levels,
            "reason": made.reason,
        },
    )


def _locked(subject: Subject) -> tuple[Subject, Randomization]:
    subject = lock(Subject.objects.select_related("centre", "study"), subject.pk)
    randomization = Randomization.objects.filter(subject=subject).first()
    if randomization is None:
        raise Problem(
            code="not_randomized",
            title=f"Subject {subject.number} is not randomized.",
            action="This can be recorded after randomization only.",
        )
    randomization.subject = subject
    return subject, randomization


def _keep(signature: Signature, record: Record, subject: Subject) -> None:
    keep(signature, record, study=subject.study, time_zone=subject.centre.time_zone)
