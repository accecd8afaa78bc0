"""The depot: which places are free, taking them, and what leaves it.

Kits are written in the order of their numbers, whichever arm they are for, so that neither the
order of rows nor that of their history tells one.
"""

from collections.abc import Mapping

from django.db import connection

from dispensing.unblinded.plan import DepotLot
from iwrs.models import Study

Place = dict[str, int]  # the kit's key of each arm

_LOCK_CLASS = 0x4B495453  # "KITS"
# A place is free when it has a kit of every arm and none of them has left the depot. Read in the
# order of an index, so that the first places of a lot cost no more when it holds many.
_FREE = """
    SELECT c.rank, array_agg(c.arm) AS arms, array_agg(c.kit_id) AS kits
      FROM unblinded.kit_content c
     WHERE c.lot_id = {lot} AND NOT c.sent
     GROUP BY c.rank
    HAVING count(DISTINCT c.arm) = %s AND count(*) = %s
     ORDER BY c.rank LIMIT {most}
"""
_LOTS = f"""
    SELECT l.id, l.expires_on, (SELECT count(*) FROM ({_FREE.format(lot="l.id", most="%s")}) f)
      FROM public.dispensing_lot l WHERE l.study_id = %s
"""  # noqa: S608
_TAKE = f"""
    SELECT wanted.lot, f.arms, f.kits
      FROM unnest(%s::bigint[], %s::bigint[]) AS wanted(lot, places),
           LATERAL ({_FREE.format(lot="wanted.lot", most="wanted.places")}) f
     ORDER BY wanted.lot, f.rank
"""  # noqa: S608
_IN_NUMBER_ORDER = "SELECT id FROM public.dispensing_kit WHERE id = ANY(%s) ORDER BY number, id"
# One statement a kit (in one round trip): a single UPDATE of many rows has no promised order.
_SEND = "UPDATE public.dispensing_kit SET status = 'at_centre', centre_id = %s WHERE id = %s"
_RETIRE = """
    UPDATE public.dispensing_kit SET status = 'retired' WHERE id = %s AND status = 'at_centre'
"""
_OPEN = """
    WITH asked AS (SELECT unnest(%s::bigint[]) AS id),
         made AS (INSERT INTO unblinded.centre_calls (centre_id, completed, released_calls)
                  SELECT id, 0, 0 FROM asked ON CONFLICT DO NOTHING RETURNING centre_id)
    SELECT unblinded.open_calls('centre', centre_id) FROM made ORDER BY centre_id
"""


def lock_depot(study: Study) -> None:
    """Let one act at a time take kits of a study or add some, until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCK_CLASS, study.pk])


def depot_lots(study: Study, *, at_most: int | None = None) -> list[DepotLot]:
    """Every lot of the study with its free places, counted no further than `at_most`."""
    arms = len(study.definition.arms)
    with connection.cursor() as cursor:
        cursor.execute(_LOTS, [arms, arms, at_most, study.pk])
        return [DepotLot(pk, expires_on, places) for pk, expires_on, places in cursor.fetchall()]


def take_places(study: Study, wanted: Mapping[int, int]) -> dict[int, list[Place]]:
    """The next free places of each lot, in the order of their rank. Lock the depot first."""
    arms = len(study.definition.arms)
    taken: dict[int, list[Place]] = {lot: [] for lot in wanted}
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, [list(wanted.keys()), list(wanted.values()), arms, arms])
        for lot, codes, kits in cursor.fetchall():
            taken[lot].append(dict(zip(codes, kits, strict=True)))
    if any(len(taken[lot]) != places for lot, places in wanted.items()):
        raise RuntimeError("the depot has fewer places than it said: it was not locked")
    return taken


def send(kits: Mapping[int, int]) -> None:
    """Send kits (key) to centres (key): they leave the depot and are at the centre."""
    if not kits:
        return
    with connection.cursor() as cursor:
        cursor.executemany(_SEND, [(kits[pk], pk) for pk in _by_number(list(kits))])
        cursor.execute(
            "UPDATE unblinded.kit_content SET sent = true WHERE kit_id = ANY(%s)", [list(kits)]
        )


def retire(kits: list[int]) -> int:
    """Retire kits at centres that nobody will get; returns how many. An assigned kit stays."""
    if not kits:
        return 0
    with connection.cursor() as cursor:
        cursor.executemany(_RETIRE, [(pk,) for pk in _by_number(kits)])
        return cursor.rowcount


def _by_number(kits: list[int]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(_IN_NUMBER_ORDER, [kits])
        return [pk for (pk,) in cursor.fetchall()]


def settle_places(study: Study) -> None:
    """Count places that abandoned calls of the gate have used up as served."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT unblinded.settle_places(%s)", [study.pk])


def open_cohorts(cohorts: list[int]) -> None:
    """Make the counter of places of each cohort (keys)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT unblinded.open_calls('cohort', id) FROM unnest(%s::bigint[]) AS id", [cohorts]
        )


def open_centres(centres: list[int]) -> None:
    """Let kits be assigned at centres (keys): a row and a counter of calls for each new one."""
    if not centres:
        return
    with connection.cursor() as cursor:
        cursor.execute(_OPEN, [sorted(set(centres))])
