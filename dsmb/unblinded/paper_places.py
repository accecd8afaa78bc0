"""What a randomization pack offers: the next places of each stratum and of each centre's cover.

Which places these are hangs on counts of blinded acts, on abandoned calls, and on lots' expiry:
as in `gate.allocate` and `unblinded.take_cover_kit`, whose order this is. Each place has a random
code, drawn once and kept by later packs.
"""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

from django.db import connection
from django.db.models import QuerySet

from dispensing.models import Kit
from dsmb.unblinded.models import PaperCover, PaperPlace
from iwrs.models import Study
from iwrs.paper_number import ALPHABET, HALF
from randomization.unblinded.models import ForcedAllocation, RandomizationList

PLACES = 8  # of each stratum, and of each centre's cover

_NEXT_OF_STRATA = """
    SELECT c.stratum_key, e.id, e.arm
      FROM unblinded.stratum_cursor c
     CROSS JOIN LATERAL (
           SELECT e.id, e.arm, e.position FROM unblinded.list_entry e
            WHERE e.list_id = c.list_id AND e.stratum_key = c.stratum_key
              AND e.position > c.used AND e.position <= c.length
              AND NOT EXISTS (SELECT 1 FROM unblinded.forced_allocation f
                               WHERE f.told_entry_id = e.id)
            ORDER BY e.position LIMIT %s) e
     WHERE c.list_id = %s ORDER BY c.stratum_key, e.position
"""
_NEXT_OF_COVER = """
    WITH place AS (
        SELECT h.centre_id, h.id AS cohort, p.position, l.expires_on,
               row_number() OVER (PARTITION BY h.centre_id
                                  ORDER BY h.received_at, h.id, p.position) AS turn
          FROM public.dispensing_cohort h
          JOIN public.enrolment_centre c ON c.id = h.centre_id
          JOIN public.dispensing_lot l ON l.id = h.lot_id
         CROSS JOIN LATERAL generate_series(coalesce(pg_sequence_last_value(
               ('unblinded.calls_cohort_' || h.id)::regclass), 0) + 1, h.size) AS p(position)
         WHERE c.study_id = %s AND c.status = 'active'
           AND h.served < h.size AND l.expires_on >= %s)
    SELECT place.centre_id, place.cohort, place.position, place.expires_on,
           array_agg(k.arm), array_agg(kit.number)
      FROM place
      JOIN unblinded.cover_kit k ON k.cohort_id = place.cohort AND k.position = place.position
      JOIN public.dispensing_kit kit ON kit.id = k.kit_id
     WHERE place.turn <= %s
     GROUP BY place.centre_id, place.cohort, place.position, place.expires_on, place.turn
     ORDER BY place.centre_id, place.turn
"""
_CALLS = """
    SELECT coalesce(sum(pg_sequence_last_value(
           ('unblinded.calls_cohort_' || h.id)::regclass)), 0)
      FROM public.dispensing_cohort h
      JOIN public.enrolment_centre c ON c.id = h.centre_id WHERE c.study_id = %s
"""


@dataclass(frozen=True)
class NextPlace:
    """One place of a stratum: its code and the arm's code."""

    code: str
    arm: str


@dataclass(frozen=True)
class NextKit:
    """One place of a centre's cover: its code, the lot's last day, and each arm's kit."""

    code: str
    expires_on: date
    kits: Mapping[str, str]


def next_places(active: RandomizationList) -> dict[str, list[NextPlace]]:
    """The next places of each stratum of a list, in order; an exhausted stratum has none."""
    found: dict[str, list[NextPlace]] = {
        key: [] for key in active.cursors.order_by("stratum_key").values_list(
            "stratum_key", flat=True
        )
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_NEXT_OF_STRATA, [PLACES, active.pk])
        rows = cursor.fetchall()
    codes = _codes_of_places([entry for _, entry, _ in rows])
    for stratum, entry, arm in rows:
        found[stratum].append(NextPlace(codes[entry], arm))
    return found


def next_kits(study: Study, until: date) -> dict[int, list[NextKit]]:
    """The next places of cover of each active centre, by its key, that are good `until` a day."""
    with connection.cursor() as cursor:
        cursor.execute(_NEXT_OF_COVER, [study.pk, until, PLACES])
        rows = cursor.fetchall()
    codes = _codes_of_cover([(cohort, position) for _, cohort, position, *_ in rows])
    found: dict[int, list[NextKit]] = {}
    for centre, cohort, position, expires_on, arms, numbers in rows:
        told = [Kit(number=each).grouped for each in numbers]
        kits = dict(zip(arms, told, strict=True))
        found.setdefault(centre, []).append(NextKit(codes[cohort, position], expires_on, kits))
    return found


def calls_for_cover(study: Study) -> int:
    """Every call for cover so far, those that were rolled back included: they use up lines."""
    with connection.cursor() as cursor:
        cursor.execute(_CALLS, [study.pk])
        return int(cursor.fetchone()[0])


def numbers_accepted(study: Study) -> int:
    """Paper numbers that were accepted: their places are nobody else's."""
    return ForcedAllocation.objects.filter(study=study).exclude(paper_number="").count()


def drawn(count: int, *, taken: Iterable[str] = ()) -> list[str]:
    """So many random codes, all different, and none of those taken."""
    seen = set(taken)
    codes: list[str] = []
    while len(codes) < count:
        code = "".join(secrets.choice(ALPHABET) for _ in range(HALF))
        if code not in seen:
            seen.add(code)
            codes.append(code)
    return codes


def _codes_of_places(entries: list[int]) -> dict[int, str]:
    known = PaperPlace.objects.filter(entry__in=entries)
    codes = dict(known.values_list("entry_id", "code"))
    missing = [each for each in entries if each not in codes]
    if missing:
        new = zip(missing, drawn(len(missing), taken=codes.values()), strict=True)
        # Who makes packs at the same moment may have been first: the code that is stored counts.
        PaperPlace.objects.bulk_create(
            [PaperPlace(entry_id=entry, code=code) for entry, code in new], ignore_conflicts=True
        )
        codes = dict(known.all().values_list("entry_id", "code"))
    return codes


def _codes_of_cover(places: list[tuple[int, int]]) -> dict[tuple[int, int], str]:
    known = PaperCover.objects.filter(cohort__in={cohort for cohort, _ in places})
    codes = {(cohort, at): code for cohort, at, code in _rows(known)}
    missing = [each for each in places if each not in codes]
    if missing:
        new = zip(missing, drawn(len(missing), taken=codes.values()), strict=True)
        PaperCover.objects.bulk_create(
            [PaperCover(cohort_id=cohort, position=at, code=code) for (cohort, at), code in new],
            ignore_conflicts=True,
        )
        codes = {(cohort, at): code for cohort, at, code in _rows(known.all())}
    return codes


def _rows(known: QuerySet[PaperCover]) -> list[tuple[int, int, str]]:
    return list(known.values_list("cohort_id", "position", "code"))
