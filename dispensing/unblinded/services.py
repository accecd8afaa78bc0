"""The verbs of the unblinded side about kits: import a file, stock a centre, run the supply."""

import hashlib
from collections.abc import Mapping
from datetime import date, datetime

from django.db.models import Max

from dispensing.models import Cohort, Kit, Lot
from dispensing.unblinded import depot
from dispensing.unblinded.calls import GateAlarm, release_centre_calls, watch_calls
from dispensing.unblinded.cover import BATCH, cover_until, store_cohorts
from dispensing.unblinded.kits_csv import KitRow, read_kits
from dispensing.unblinded.models import KitContent, KitImport
from dispensing.unblinded.numbers import shuffled, stream
from dispensing.unblinded.plan import CoverNeed, plan_supply
from dispensing.unblinded.supply import SupplyOutcome, run_supply, work_supply_runs
from enrolment.models import Centre
from iwrs import clock
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.models import Study
from iwrs.problems import Invalid, Problem
from iwrs.table_file import Faults

__all__ = [
    "GateAlarm",
    "SupplyOutcome",
    "import_kits",
    "release_centre_calls",
    "run_supply",
    "stock_centre",
    "watch_calls",
    "work_supply_runs",
]


def import_kits(
    study: Study, file: str | bytes, *, file_name: str, by: Actor, seed: bytes | None = None
) -> KitImport:
    """Take a file of kits into the depot, whole or not at all.

    Kits are stored in an order shuffled by a secret stream, so that neither keys nor the order of
    rows and history tell a content. Each gets its rank in its lot and arm, by a second shuffle and
    for good: kits of equal rank and lot are one place (see `plan`). Ranks go on after those of
    earlier files, because a place of kits of two deliveries would tell the arms.
    `seed` (32 bytes) repeats both shuffles, in studies marked as simulated only.
    Raises `Invalid` with one text a fault, named by row and column.
    """
    if seed is not None and not study.simulated:
        raise Problem(
            code="seed_given",
            title="The kits of a study with real subjects are shuffled by a secret of their own.",
            action="Import the file without giving a seed.",
        )
    arms = study.definition.arm_codes
    moment = clock.study_now(study.replay_now)
    faults = Faults()
    rows = read_kits(file, arms=arms, today=moment.date(), faults=faults)
    with act("import kits", by=by):
        depot.lock_depot(study)
        _compare_with_stock(study, rows, faults)
        faults.raise_any(
            action="Ask the packaging vendor for a corrected file. No kit of this file was stored."
        )
        _store(study, rows, seed)
        return KitImport.objects.create(
            study=study,
            file_name=file_name[:200],
            sha256=hashlib.sha256(file.encode() if isinstance(file, str) else file).hexdigest(),
            kits=len(rows),
            imported_by=by.label,
            imported_at=moment,
        )


def stock_centre(
    centre: Centre, *, by: Actor, size: int | None = None, at: datetime | None = None
) -> Cohort:
    """Send one cover cohort to a centre: `size` places of the lot that expires first.

    It counts as received at `at` (default: now). The lot must stay good for as long as visit kits
    are sent ahead, so that cover does not expire on the shelf. Raises `Problem` when no lot has so
    many places: only unblinded staff see that, and on the public side nothing changes.
    """
    moment = at or clock.study_now(centre.study.replay_now)
    definition = centre.study.definition
    size = definition.kits.cohort_size if size is None else size
    if not 1 <= size <= 1000:
        raise Invalid({"size": "A cohort serves from 1 to 1000 randomizations."})
    with act("stock centre", by=by):
        depot.lock_depot(centre.study)
        centre.refresh_from_db(fields=["status"])
        if centre.status == Centre.Status.CLOSED:
            raise Problem(code="centre_closed", title=f"Centre {centre.number} is closed.")
        need = CoverNeed(centre.pk, size, cover_until(definition, moment))
        plan = plan_supply(depot.depot_lots(centre.study, at_most=need.size), [], [need])
        if plan.unmet_covers:
            raise _depot_short(size, need.use_until)
        places = depot.take_places(centre.study, plan.places())
        return store_cohorts(places, plan.covers, moment)[0]


def _depot_short(size: int, until: date) -> Problem:
    """Said to unblinded staff. It names no arm: the number of places depends on none."""
    return Problem(
        code="depot_short",
        title=f"No lot in the depot has {size} kits of every arm that are good until "
        f"{until:%-d %B %Y}.",
        action="Nothing was changed. Import kits of a lot with a later expiry, or send fewer.",
    )


def _compare_with_stock(study: Study, rows: list[KitRow], faults: Faults) -> None:
    numbers = {kit.number for kit in rows}
    known = set(
        Kit.objects.filter(study=study, number__in=numbers).values_list("number", flat=True)
    )
    lots = dict(Lot.objects.filter(study=study).values_list("number", "expires_on"))
    told = set()
    for kit in rows:
        if kit.number in known:
            faults.at(kit.row, "kit_number", "The study already has a kit of this number.")
        expiry = lots.get(kit.lot, kit.expires_on)
        if expiry != kit.expires_on and kit.lot not in told:
            told.add(kit.lot)
            faults.at(kit.row, "expiry", f"Lot {kit.lot} is known with expiry {expiry}.")


def _store(study: Study, rows: list[KitRow], seed: bytes | None) -> None:
    source = stream("import", seed)
    by_number = {kit.number: kit for kit in rows}
    order = shuffled(list(by_number), source)
    lots = _lots(study, {kit.lot: kit.expires_on for kit in rows})
    ranks = _ranks(study, [by_number[number] for number in shuffled(list(by_number), source)], lots)
    kits = Kit.objects.bulk_create(
        (Kit(study=study, number=number, lot=lots[by_number[number].lot]) for number in order),
        batch_size=BATCH,
    )
    KitContent.objects.bulk_create(
        (
            KitContent(
                kit=kit,
                study=study,
                lot_id=kit.lot_id,
                arm=by_number[kit.number].arm,
                rank=ranks[kit.number],
            )
            for kit in kits
        ),
        batch_size=BATCH,
    )


def _lots(study: Study, expiry: Mapping[str, date]) -> dict[str, Lot]:
    known = {lot.number: lot for lot in Lot.objects.filter(study=study, number__in=expiry)}
    new = [
        Lot(study=study, number=number, expires_on=expiry[number])
        for number in sorted(expiry.keys() - known.keys())
    ]
    return known | {lot.number: lot for lot in Lot.objects.bulk_create(new)}


def _ranks(study: Study, rows: list[KitRow], lots: Mapping[str, Lot]) -> dict[str, int]:
    """The rank of each kit number: its place among the kits of its lot and arm in `rows`."""
    highest = dict(
        KitContent.objects.filter(study=study, kit__lot__in=lots.values())
        .values_list("kit__lot__number")
        .annotate(Max("rank"))
    )
    last: dict[tuple[str, str], int] = {}
    ranks = {}
    for kit in rows:
        rank = last.get((kit.lot, kit.arm), highest.get(kit.lot) or 0) + 1
        last[kit.lot, kit.arm] = ranks[kit.number] = rank
    return ranks
