"""Studies with kits in the depot, for the tests of this folder."""

from datetime import date, datetime

from django.db import connection

from dispensing.unblinded.numbers import DeliveredLot, vendor_csv
from dispensing.unblinded.services import import_kits
from iwrs import clock
from iwrs.models import Study
from tests.factories import TESTER
from tests.roles import as_unblinded

IMPORT_SEED = bytes(range(32))


def lots(*expiries: date, prefix: str = "L") -> list[DeliveredLot]:
    """Lots L01, L02 and so on with these expiries."""
    return [DeliveredLot(f"{prefix}{n:02d}", day) for n, day in enumerate(expiries, start=1)]


def fill_depot(study: Study, *, kits: int, expiries: list[date], prefix: str = "L") -> str:
    """Import a delivery; returns the file."""
    made = lots(*expiries, prefix=prefix)
    text = vendor_csv(study.definition, kits=kits, seed=prefix, lots=made)
    import_repeatably(study, text)
    return text


def import_repeatably(study: Study, text: str) -> None:
    """Import with a fixed seed, which only a simulated study accepts."""
    if not study.simulated:
        Study.objects.filter(pk=study.pk).update(simulated=True)
        study.simulated = True
    with as_unblinded():
        import_kits(study, text, file_name="kits.csv", by=TESTER, seed=IMPORT_SEED)


def contents(study: Study) -> dict[str, tuple[str, int]]:
    """Arm and rank of each kit number, asked as the unblinded side."""
    with as_unblinded(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT k.number, c.arm, c.rank FROM unblinded.kit_content c"
            " JOIN public.dispensing_kit k ON k.id = c.kit_id WHERE c.study_id = %s",
            [study.pk],
        )
        return {number: (arm, rank) for number, arm, rank in cursor.fetchall()}


def years_ahead(years: int) -> date:
    return clock.today().replace(month=6, day=30, year=clock.today().year + years)


def public_rows(study: Study) -> dict[str, list[tuple[object, ...]]]:
    """Every blinded row about kits with its history, in physical order, but recorded times."""
    queries = {
        "kit": "SELECT id, number, lot_id, status, centre_id FROM public.dispensing_kit"
        " WHERE study_id = %(study)s ORDER BY ctid",
        "kit history": "SELECT pgh_id, pgh_label, id, number, status, centre_id"
        " FROM public.dispensing_kitevent WHERE study_id = %(study)s ORDER BY ctid",
        "cohort": "SELECT id, centre_id, lot_id, size, served, received_at"
        " FROM public.dispensing_cohort ORDER BY ctid",
        "cohort history": "SELECT pgh_id, pgh_label, id, served"
        " FROM public.dispensing_cohortevent ORDER BY ctid",
        "lot": "SELECT id, number, expires_on FROM public.dispensing_lot ORDER BY ctid",
        "dispensation": "SELECT id, subject_id, number, status, kit_id, assigned_at"
        " FROM public.dispensing_dispensation ORDER BY ctid",
        "run": "SELECT id, as_of, status FROM public.dispensing_supplyrun ORDER BY ctid",
    }
    with connection.cursor() as cursor:
        found = {}
        for name, query in queries.items():
            cursor.execute(query, {"study": study.pk})
            found[name] = cursor.fetchall()
        return found


def moment_of(day: date) -> datetime:
    return datetime.fromisoformat(f"{day.isoformat()}T08:00:00+00:00")
