"""The sealed randomization pack as the blinded side sees it: that it exists, and how old it is."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC

from django.db.models import QuerySet

from dispensing.models import Cohort
from dsmb.models import PaperPack
from enrolment.models import Centre
from iwrs import clock
from iwrs.models import Study
from iwrs.problems import Problem
from randomization.models import ListCommitment, Randomization


@dataclass(frozen=True)
class Facts:
    """The blinded facts that a pack rests on. `list_number` is None when no list is in use."""

    list_number: int | None
    subjects: int
    sha256: str


@dataclass(frozen=True)
class PaperRow:
    """The newest pack of the list in use and the randomizations it lacks, or why there is none."""

    pack: PaperPack | None
    subjects_missing: int
    days_old: int | None
    why_none: str


def facts(study: Study) -> Facts:
    """Which list is in use and how long it is, who is randomized, and what cover centres have."""
    lists = ListCommitment.objects.filter(study=study, active=True)
    parts = list(lists.order_by("list_number", "part").values_list("list_number", "part"))
    subjects = Randomization.objects.filter(study=study).count()
    cohorts = Cohort.objects.filter(centre__study=study).order_by("pk")
    centres = Centre.objects.filter(study=study, status=Centre.Status.ACTIVE).order_by("pk")
    told = [
        parts,
        subjects,
        list(cohorts.values_list("pk", "size", "served")),
        list(centres.values_list("pk", flat=True)),
        study.definition_sha256,
    ]
    digest = hashlib.sha256(json.dumps(told).encode()).hexdigest()
    return Facts(parts[-1][0] if parts else None, subjects, digest)


def why_none(study: Study, list_number: int | None) -> str:
    """Why a study can have no randomization pack; empty when it can."""
    keys = study.definition.randomization
    if keys.dynamic:
        return (
            "The study's method decides when a subject comes, so there is no next place. While "
            "the system is down, randomization waits."
        )
    if keys.forced_allocation:
        return (
            "In this study an arm may be named beforehand, which no paper can know. While the "
            "system is down, randomization waits."
        )
    if not list_number:
        return "No randomization list is in use."
    # Made while papers wait to be entered, a pack would offer their places once more.
    is_open = study.status == Study.Status.OPEN
    return "" if is_open else "Accrual is not open. A pack is made when it is."


def paper_row(study: Study) -> PaperRow:
    """What the pages of the packs say of the study's randomization pack."""
    now = facts(study)
    pack = _of_list(study, now.list_number).defer("sealed").first()
    if pack is None:
        return PaperRow(None, 0, None, why_none(study, now.list_number))
    age = clock.study_now(study.replay_now).date() - pack.made_at.date()
    return PaperRow(pack, max(now.subjects - pack.subjects, 0), age.days, "")


def newest_paper(study: Study) -> PaperPack:
    """The newest pack of the list in use, with its bytes. Raises `Problem` when there is none."""
    number = facts(study).list_number
    found = _of_list(study, number).first()
    if found is None:
        raise Problem(
            code="no_paper",
            title="The study has no randomization pack.",
            action=why_none(study, number)
            or "Ask the unblinded statistician: an emergency holder's key must be registered.",
        )
    return found


def paper_name(each: PaperPack) -> str:
    """Study and moment (UTC): files of several days can lie side by side."""
    made = each.made_at.astimezone(UTC)
    return f"{each.study.code}-randomization-pack-{made:%Y%m%dT%H%MZ}.age"


def _of_list(study: Study, number: int | None) -> QuerySet[PaperPack]:
    """The packs of one list of the study, newest first; none of no list."""
    packs = PaperPack.objects.filter(study=study, list_number=number or 0)
    return packs.select_related("study").order_by("-pk")
