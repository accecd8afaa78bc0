"""Sealed code-break packs as the blinded side sees them: that they exist, and how old they are."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date

from django.db.models import Count, QuerySet

from dispensing.models import Dispensation
from dsmb.models import SealedPack
from enrolment.models import Centre
from iwrs import clock
from iwrs.models import Study
from iwrs.problems import Problem
from randomization.models import Randomization


@dataclass(frozen=True)
class Row:
    """A centre with its newest pack, and what happened there that the pack does not cover."""

    centre: Centre
    pack: SealedPack | None
    subjects_missing: int
    kits_missing: int
    days_old: int | None

    @property
    def covers_all(self) -> bool:
        return self.pack is not None and not self.subjects_missing and not self.kits_missing


def newest_packs(study: Study) -> QuerySet[SealedPack]:
    """The newest pack of each centre of the study, without the sealed bytes."""
    packs = SealedPack.objects.filter(centre__study=study).select_related("centre__study")
    newest = packs.order_by("centre_id", "-pk").distinct("centre_id").values("pk")
    return packs.filter(pk__in=newest).defer("sealed").order_by("centre__number")


def newest_pack(centre: Centre) -> SealedPack:
    """The centre's newest pack with its sealed bytes. Raises `Problem` when there is none."""
    found = centre.packs.order_by("-pk").first()
    if found is None:
        raise Problem(
            code="no_pack",
            title=f"Centre {centre.number} has no sealed pack yet.",
            action="Ask the unblinded statistician: an emergency holder's key must be registered.",
        )
    return found


def covered_now(study: Study) -> dict[int, tuple[int, int]]:
    """By centre: how many subjects are randomized and how many kits are assigned now."""
    randomized = Randomization.objects.filter(study=study).values_list("subject__centre")
    kits = Dispensation.objects.filter(subject__study=study, kit__isnull=False)
    subjects = dict(randomized.annotate(Count("pk")))
    assigned = dict(kits.values_list("subject__centre").annotate(Count("pk")))
    now: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
    return now | {
        centre: (subjects.get(centre, 0), assigned.get(centre, 0)) for centre in subjects | assigned
    }


def rows(study: Study) -> list[Row]:
    """Every centre of the study with its newest pack."""
    packs = {each.centre_id: each for each in newest_packs(study)}
    now, today = covered_now(study), clock.study_now(study.replay_now).date()
    return [
        _row(centre, packs.get(centre.pk), now[centre.pk], today) for centre in study.centres.all()
    ]


def file_name(each: SealedPack) -> str:
    """Study, centre and moment (UTC): files of several days can lie side by side."""
    centre = each.centre
    made = each.made_at.astimezone(UTC)
    return f"{centre.study.code}-{centre.number}-code-break-pack-{made:%Y%m%dT%H%MZ}.age"


def _row(centre: Centre, pack: SealedPack | None, now: tuple[int, int], today: date) -> Row:
    if pack is None:
        return Row(centre, None, *now, days_old=None)
    missing = max(now[0] - pack.subjects, 0), max(now[1] - pack.kits, 0)
    return Row(centre, pack, *missing, days_old=(today - pack.made_at.date()).days)
