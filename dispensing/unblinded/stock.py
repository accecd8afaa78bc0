"""What the supply manager sees: stock by lot and arm, and what the next run will need."""

from dataclasses import dataclass
from datetime import date

from django.db.models import Count

from dispensing.models import Kit, Lot
from dispensing.unblinded.depot import depot_lots
from dispensing.unblinded.models import KitContent
from iwrs.models import Study


@dataclass(frozen=True)
class ArmStock:
    """Kits of one arm of a lot, by where they are."""

    arm: str
    in_depot: int
    at_centres: int
    assigned: int
    retired: int


@dataclass(frozen=True)
class LotStock:
    """A lot. `places` is how many needs it can still serve: see `plan`."""

    number: str
    expires_on: date
    places: int
    arms: tuple[ArmStock, ...]


def stock(study: Study) -> list[LotStock]:
    """Every lot of a study, in order of expiry."""
    counted = (
        KitContent.objects.filter(study=study)
        .values("kit__lot", "arm", "kit__status")
        .annotate(kits=Count("pk"))
    )
    kits = {(row["kit__lot"], row["arm"], row["kit__status"]): row["kits"] for row in counted}
    places = {lot.pk: lot.places for lot in depot_lots(study)}
    return [
        LotStock(
            number=lot.number,
            expires_on=lot.expires_on,
            places=places[lot.pk],
            arms=tuple(
                ArmStock(
                    arm,
                    *(
                        kits.get((lot.pk, arm, status), 0)
                        for status in (
                            Kit.Status.IN_DEPOT,
                            Kit.Status.AT_CENTRE,
                            Kit.Status.ASSIGNED,
                            Kit.Status.RETIRED,
                        )
                    ),
                )
                for arm in study.definition.arm_codes
            ),
        )
        for lot in Lot.objects.filter(study=study).order_by("expires_on", "number")
    ]
