"""Two contents of one depot under which the same kit numbers reach the same subjects.

Play a tape once, note which subject each kit number was sent to or assigned to, and give the second
play contents with which the same numbers fit its own list. It is possible because every need
takes a whole place, one kit of every arm: within a place two contents change seats.
"""

from collections import defaultdict

import psycopg
from django.db import connection

from iwrs.models import Study
from randomization.listing import generate
from randomization.unblinded.services import list_design
from tests import bootstrap
from tests.roles import as_unblinded

# Recorded by the database's clock or drawn at random, whatever the arms are.
MASKED = {
    "recorded_at",
    "created_at",
    "pgh_created_at",
    "requested_at",
    "finished_at",
    "pgh_context_id",
    "merkle_root",
}


def kits_by_subject(study: Study) -> dict[str, str]:
    """Number of each kit that a subject got or that was sent for a visit: the subject's number."""
    query = (
        "SELECT k.number, s.number FROM ("
        " SELECT kit_id, dispensation_id FROM unblinded.visit_kit"
        " UNION SELECT kit_id, dispensation_id FROM unblinded.kit_assignment) g"
        " JOIN public.dispensing_kit k ON k.id = g.kit_id"
        " JOIN public.dispensing_dispensation d ON d.id = g.dispensation_id"
        " JOIN public.enrolment_subject s ON s.id = d.subject_id WHERE s.study_id = %s"
    )
    with as_unblinded(), connection.cursor() as cursor:
        cursor.execute(query, [study.pk])
        return dict(cursor.fetchall())


def arms_under(study: Study, seed: bytes) -> dict[str, str]:
    """The arm of each subject if the list of `seed` had been used for the same randomizations."""
    arms: dict[str, list[str]] = defaultdict(list)
    for entry in generate(list_design(study), seed):
        arms[entry.stratum].append(entry.arm)
    taken: dict[str, int] = defaultdict(int)
    found = {}
    for each in study.randomizations.select_related("subject").order_by("pk"):
        found[each.subject.number] = arms[each.stratum_key][taken[each.stratum_key]]
        taken[each.stratum_key] += 1
    return found


def couple(study: Study, arm_of_kit: dict[str, str]) -> int:
    """Let each kit number hold this arm, by changing seats within its place; returns how often."""
    changed = 0
    with psycopg.connect(bootstrap.url("owner")) as owner:
        for number, arm in sorted(arm_of_kit.items()):
            changed += owner.execute(
                "UPDATE unblinded.kit_content c"
                "   SET arm = CASE WHEN c.kit_id = mine.kit_id THEN %(arm)s ELSE mine.arm END"
                "  FROM unblinded.kit_content mine"
                "  JOIN public.dispensing_kit k ON k.id = mine.kit_id,"
                "       unblinded.kit_content other"
                "  JOIN public.dispensing_kit o ON o.id = other.kit_id"
                " WHERE k.study_id = %(study)s AND k.number = %(number)s AND mine.arm <> %(arm)s"
                "   AND o.lot_id = k.lot_id AND other.rank = mine.rank AND other.arm = %(arm)s"
                "   AND c.kit_id IN (mine.kit_id, other.kit_id)",
                {"study": study.pk, "number": number, "arm": arm},
            ).rowcount
    return changed // 2


def start_again() -> None:
    """An empty database whose keys and counters start from 1, as owner."""
    connection.close()
    with psycopg.connect(bootstrap.url("owner"), autocommit=True) as owner:
        tables = owner.execute(
            "SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables"
            " WHERE schemaname IN ('public', 'unblinded')"
            " AND tablename NOT IN ('django_migrations', 'django_content_type', 'auth_permission')"
        ).fetchone()[0]
        owner.execute(f"TRUNCATE {tables} RESTART IDENTITY")
        counters = owner.execute(
            "SELECT format('unblinded.%I', relname) FROM pg_class"
            " WHERE relkind = 'S' AND relnamespace = 'unblinded'::regnamespace"
            " AND relname LIKE 'calls\\_%'"
        ).fetchall()
        for (name,) in counters:
            owner.execute(f"DROP SEQUENCE {name}")


def everything_public() -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table that the blinded role can read, in order of keys."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum)"
            "  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'"
            "   AND a.attnum > 0 AND NOT a.attisdropped"
            "   AND has_table_privilege(c.oid, 'SELECT') GROUP BY c.relname"
        )
        found = {}
        for table, columns in cursor.fetchall():
            seen = [f'"{name}"::text' for name in columns if name not in MASKED]
            cursor.execute(
                f'SELECT {", ".join(seen)} FROM public."{table}" ORDER BY "{columns[0]}"'
            )
            found[table] = cursor.fetchall()
        return found
