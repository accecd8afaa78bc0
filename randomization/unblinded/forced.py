"""Naming one subject's arm before the subject is randomized, where the study file allows it."""

from django.db.models import Exists, OuterRef, QuerySet

from enrolment.models import Subject
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.models import Study
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Signature
from iwrs.signatures.services import keep, require_shown
from iwrs.studies import lock_design
from randomization.unblinded.models import ForcedAllocation
from randomization.unblinded.records import forced_record, waiting_record


def waiting(study: Study) -> QuerySet[Subject]:
    """Eligible subjects for whom no arm was named, by number."""
    named = ForcedAllocation.objects.filter(subject=OuterRef("pk"))
    return (
        Subject.objects.filter(~Exists(named), study=study, status=Subject.Status.ELIGIBLE)
        .select_related("centre")
        .order_by("number")
    )


def forced(study: Study) -> QuerySet[ForcedAllocation]:
    """Every arm that was named, newest first."""
    return (
        ForcedAllocation.objects.filter(study=study)
        .select_related("subject")
        .order_by("-forced_at")
    )


def forced_arms(study: Study) -> dict[int, str]:
    """The arm that was named, by the subject's primary key."""
    return dict(ForcedAllocation.objects.filter(study=study).values_list("subject_id", "arm"))


def force_allocation(
    subject: Subject, arm: str, *, by: Actor, why: str, signature: Signature
) -> ForcedAllocation:
    """Name the arm of a subject who is not randomized yet.

    The subject is randomized by the site as any other, and takes the next place of the stratum,
    which is used up. Raises `Problem` where the study does not allow it or the subject does not
    wait, and `Invalid` for an unknown arm or no reason.
    """
    study = subject.study
    definition = study.definition
    if not definition.randomization.forced_allocation:
        raise Problem(
            code="not_forced_here",
            title="In this study nobody names a subject's arm.",
            action="Only a study file with forced_allocation = true allows it.",
        )
    wrong = {}
    if arm.strip() not in definition.arm_codes:
        wrong["arm"] = f"Type one of: {', '.join(definition.arm_codes)}."
    if not why.strip():
        wrong["why"] = "Say why this subject must have this arm."
    if wrong:
        raise Invalid(wrong)
    with act("force allocation", by=by, why=why.strip()):
        lock_design(study)
        subject = Subject.objects.select_related("centre", "study").get(pk=subject.pk)
        require_shown(signature, waiting_record(subject))
        if not waiting(study).filter(pk=subject.pk).exists():
            raise Problem(
                code="not_waiting",
                title=f"Subject {subject.number} does not wait for an arm.",
                action="Only an eligible subject who is not randomized can be given one, once.",
            )
        made = ForcedAllocation.objects.create(
            subject=subject, study=study, arm=arm.strip(), reason=why.strip(), forced_by=by.label
        )
        keep(signature, forced_record(made), study=study)
        return made
