"""The arm of a subject that does not come from the subject's own place.

Named by a person before the subject is randomized, where the study file allows it. That of a place
which was told on paper is accepted in `dsmb.unblinded.told`.
"""

from django.db.models import Exists, OuterRef, QuerySet

from enrolment.models import Subject
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.models import Study
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Signature
from iwrs.signatures.services import keep, require_shown
from iwrs.studies import lock_design
from randomization.unblinded.models import (
    Allocation,
    ForcedAllocation,
    RandomizationList,
    StratumCursor,
)
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


def not_of_own_place(study: Study) -> QuerySet[ForcedAllocation]:
    """The arms that were named, or told on paper by a place that somebody else had already."""
    own = Allocation.objects.filter(subject=OuterRef("subject"), entry=OuterRef("told_entry"))
    return ForcedAllocation.objects.filter(~Exists(own), study=study)


def forced_arms(study: Study) -> dict[int, str]:
    """Those arms, by the subject's primary key."""
    return dict(not_of_own_place(study).values_list("subject_id", "arm"))


def told_places(study: Study) -> QuerySet[ForcedAllocation]:
    """Every place that was told on paper, with the subject, of accepted paper numbers."""
    rows = ForcedAllocation.objects.filter(study=study, told_entry__isnull=False)
    return rows.select_related("subject", "told_entry__list").order_by("forced_at")


def require_none_waits(made: RandomizationList) -> None:
    """Raise `Problem` while an arm that list `made` has not is named for a subject who waits, or
    told on paper: the subject would be randomized to an arm that takes nobody any more. Nor may a
    list follow that decides by itself.
    """
    taken = Allocation.objects.filter(subject=OuterRef("subject"))
    rows = ForcedAllocation.objects.filter(~Exists(taken), study=made.study_id)
    arms = [code for code, _ in made.design["arms"]]
    waits = rows.exclude(subject__status=Subject.Status.SCREEN_FAILED)
    if not made.dynamic:
        waits = waits.exclude(arm__in=arms)
    numbers = sorted(waits.values_list("subject__number", flat=True))
    if numbers:
        raise Problem(
            code="forced_arm_waits",
            title=f"This list cannot give the arm named or told for subject {', '.join(numbers)}.",
            action="Approve the list when the subject is randomized.",
        )


def hold_places(study: Study) -> None:
    """Lock the places of the list in use for the rest of the act: a randomization under way ends
    first, a later one waits.
    """
    used = RandomizationList.objects.filter(study=study, status=RandomizationList.Status.ACTIVE)
    list(StratumCursor.objects.select_for_update().filter(list__in=used).order_by("pk"))


def hold_waiting(subject: Subject) -> Subject:
    """The subject as it is now, within an open act: no randomization of the study runs meanwhile.

    Raises `Problem` unless the subject waits for randomization and has no arm yet.
    """
    study = subject.study
    lock_design(study)
    hold_places(study)
    subject = Subject.objects.select_related("centre", "study").get(pk=subject.pk)
    if not waiting(study).filter(pk=subject.pk).exists():
        raise Problem(
            code="not_waiting",
            title=f"Subject {subject.number} does not wait for an arm.",
            action="Only an eligible subject who is not randomized can be given one, once.",
        )
    return subject


def force_allocation(
    subject: Subject, arm: str, *, by: Actor, why: str, signature: Signature
) -> ForcedAllocation:
    """Name the arm of a subject who is not randomized yet.

    The subject is randomized by the site as any other, and takes the next place of the stratum,
    which is used up. Raises `Problem` where the study does not allow it or the subject does not
    wait, and `Invalid` for an arm that takes no new subjects or no reason.
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
    codes = [each.code for each in definition.open_arms]
    if arm.strip() not in codes:
        wrong["arm"] = f"Type one of: {', '.join(codes)}."
    if not why.strip():
        wrong["why"] = "Say why this subject must have this arm."
    if wrong:
        raise Invalid(wrong)
    with act("force allocation", by=by, why=why.strip()):
        subject = hold_waiting(subject)
        require_shown(signature, waiting_record(subject))
        made = ForcedAllocation.objects.create(
            subject=subject, study=study, arm=arm.strip(), reason=why.strip(), forced_by=by.label
        )
        keep(signature, forced_record(made), study=study)
        return made
