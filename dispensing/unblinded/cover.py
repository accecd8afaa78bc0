"""Cover cohorts: how long they must stay good, and writing them."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta

from dispensing.models import Cohort
from dispensing.services import use_until
from dispensing.unblinded import depot
from dispensing.unblinded.models import CoverKit
from dispensing.unblinded.plan import CoverNeed
from iwrs import clock
from iwrs.definition import StudyDefinition

BATCH = 2000


def cover_until(definition: StudyDefinition, moment: datetime) -> date:
    """How long cover sent at `moment` must stay good: for a use that begins one horizon later."""
    day = clock.local_date(moment, "UTC")
    return use_until(definition, day) + timedelta(days=definition.kits.visit_horizon_days)


def store_cohorts(
    places: Mapping[int, list[depot.Place]],
    covers: tuple[tuple[CoverNeed, int], ...],
    moment: datetime,
) -> list[Cohort]:
    """Write cohorts, their kits by position and arm, and send the kits; within an open act.

    Takes the places of each lot from the front of `places`.
    """
    left = {lot: list(reversed(of_lot)) for lot, of_lot in places.items()}
    cohorts = Cohort.objects.bulk_create(
        Cohort(centre_id=need.centre, lot_id=lot, size=need.size, received_at=moment)
        for need, lot in covers
    )
    cover = [
        CoverKit(cohort=cohort, position=position, arm=arm, kit_id=kit)
        for cohort in cohorts
        for position in range(1, cohort.size + 1)
        for arm, kit in left[cohort.lot_id].pop().items()
    ]
    CoverKit.objects.bulk_create(cover, batch_size=BATCH)
    depot.send({each.kit_id: each.cohort.centre_id for each in cover})
    depot.open_centres([cohort.centre_id for cohort in cohorts])
    depot.open_cohorts([cohort.pk for cohort in cohorts])
    return cohorts
