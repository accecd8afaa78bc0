"""The verbs of the unblinded side about kits: import a file, stock a centre, release the gate."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import connection
from django.db.models import Max

from dispensing.models import Cohort, Kit, Lot
from dispensing.services import use_until
from dispensing.unblinded import depot
from dispensing.unblinded.kits_csv import Faults, KitRow, read_kits
from dispensing.unblinded.models import CentreCalls, CoverKit, KitContent, KitImport
from dispensing.unblinded.numbers import shuffled, stream
from dispensing.unblinded.plan import CoverNeed, plan_supply
from enrolment.models import Centre
from iwrs import clock
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.definition import StudyDefinition
from iwrs.models import Study
from iwrs.problems import Invalid, Problem
from randomization.unblinded.models import StratumCursor
from randomization.unblinded.services import abandoned

BATCH = 2000
CALLS_ALLOWED = 8  # as in the gates: more abandoned calls than these pause the stratum or centre


def import_kits(
    study: Study, file: str | bytes, *, file_name: str, by: Actor, seed: bytes | None = None
) -> KitImport:
    """Take a file of kits into the depot, whole or not at all.

    Kits are stored in an order shuffled by a secret stream, so that neither keys nor the order of
    rows and history tell a content. Each gets its rank in its lot and arm, by a second shuffle and
    for good: kits of equal rank and lot are one place (see `plan`). Ranks go on after those of
    earlier files, because a place of kits of two deliveries would tell the arms.
    `seed` (32 bytes) repeats both shuffles; give it in validation runs only.
    Raises `Invalid` with one text a fault, named by row and column.
    """
    arms = study.definition.arm_codes
    faults = Faults()
    rows = read_kits(file, arms=arms, today=clock.today(), faults=faults)
    with act("import kits", by=by):
        depot.lock_depot(study)
        _compare_with_stock(study, rows, faults)
        faults.raise_any()
        _store(study, rows, seed)
        return KitImport.objects.create(
            study=study,
            file_name=file_name[:200],
            sha256=hashlib.sha256(file.encode() if isinstance(file, str) else file).hexdigest(),
            kits=len(rows),
            imported_by=by.label,
            imported_at=clock.now(),
        )


def stock_centre(
    centre: Centre, *, by: Actor, size: int | None = None, at: datetime | None = None
) -> Cohort:
    """Send one cover cohort to a centre: `size` places of the lot that expires first.

    It counts as received at `at` (default: now). The lot must stay good for as long as visit kits
    are sent ahead, so that cover does not expire on the shelf. Raises `Problem` when no lot has so
    many places: only unblinded staff see that, and on the public side nothing changes.
    """
    moment = at or clock.now()
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
        plan = plan_supply(depot.depot_lots(centre.study), [], [need])
        if plan.unmet_covers:
            raise depot_short(size, need.use_until)
        places = depot.take_places(centre.study, plan.places())
        return store_cohorts(places, plan.covers, moment)[0]


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
    return cohorts


def depot_short(size: int, until: date) -> Problem:
    """Said to unblinded staff. It names no arm: the number of places depends on none."""
    return Problem(
        code="depot_short",
        title=f"No lot in the depot has {size} kits of every arm that are good until "
        f"{until:%-d %B %Y}.",
        action="Nothing was changed. Import kits of a lot with a later expiry, or send fewer.",
    )


@dataclass(frozen=True)
class GateAlarm:
    """Calls of a gate that never became an act, of one stratum or centre.

    `paused` says that the gate refuses until somebody looked and released them.
    """

    kind: str
    pk: int
    name: str
    abandoned: int
    paused: bool


def watch_calls(study: Study) -> list[GateAlarm]:
    """Strata and centres with abandoned calls that nobody has released, worst first.

    An act in progress counts until it commits, so a small number that goes away is no alarm.
    """
    attempts = _attempts()
    strata = StratumCursor.objects.filter(list__study=study, list__status="active")
    found = [
        ("stratum", each.pk, each.stratum_key, each.used, each.released_calls) for each in strata
    ]
    centres = CentreCalls.objects.filter(centre__study=study).select_related("centre")
    found += [
        ("centre", each.pk, str(each.centre), each.completed, each.released_calls)
        for each in centres
    ]
    alarms = []
    for kind, pk, name, completed, released in found:
        count = attempts.get((kind, pk), 0) - completed - released
        if count > 0:
            alarms.append(GateAlarm(kind, pk, name, count, paused=count >= CALLS_ALLOWED))
    return sorted(alarms, key=lambda alarm: (-alarm.abandoned, alarm.kind, alarm.name))


def release_centre_calls(centre: Centre, *, by: Actor, why: str) -> CentreCalls:
    """Let kits be assigned again after an alarm, once the abandoned calls were looked at."""
    if not why.strip():
        raise Invalid({"why": "Say what the calls were, and why it is safe to go on."})
    with act("release kit calls", by=by, why=why):
        calls = CentreCalls.objects.select_for_update().filter(centre=centre).first()
        if calls is None:
            raise Problem(
                code="centre_never_stocked", title=f"Centre {centre.number} never got kits."
            )
        calls.released_calls = max(abandoned("centre", centre.pk, calls.completed), 0)
        calls.save(update_fields=["released_calls"])
        return calls


def _attempts() -> dict[tuple[str, int], int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, pg_sequence_last_value(oid) FROM pg_class"
            " WHERE relnamespace = 'unblinded'::regnamespace AND relkind = 'S'"
            r" AND relname LIKE 'calls\_%%'",
            [],
        )
        counted = {}
        for name, value in cursor.fetchall():
            _, kind, pk = name.split("_")
            counted[kind, int(pk)] = value or 0
        return counted


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
            KitContent(kit=kit, study=study, arm=by_number[kit.number].arm, rank=ranks[kit.number])
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
        rank = last.get((kit.lot, kit.arm), highest.get(kit.lot, 0)) + 1
        last[kit.lot, kit.arm] = ranks[kit.number] = rank
    return ranks
