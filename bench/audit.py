"""`python -m bench.audit`: sealing and verifying the audit trail, beside reading it plainly.

Machines are noisy, a ratio is not: all of it is done in one run on one database. The plain reading
is every row of the history, as text, through the same driver, and nothing done with it.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from iwrs.embedded import Services, start
from iwrs.processes import PROCESSES, environment, owner_environment

ROOT = Path(__file__).resolve().parent.parent
# Rows as a trial leaves them: three fifths are answers, the rest are visits and subjects.
FILL = """
    INSERT INTO enrolment_eligibilityanswerevent (pgh_created_at, pgh_label, id, question, answer,
        pgh_context, pgh_context_id, pgh_obj_id, subject_id)
    SELECT now(), 'insert', n, 'question_' || n %% 12, 'yes', {context}, gen_random_uuid(), n,
           n %% 1000
      FROM generate_series(1, %(answers)s) n;
    INSERT INTO assessments_visitevent (pgh_created_at, pgh_label, id, number, due_on, window_from,
        window_to, status, pgh_context, pgh_context_id, pgh_obj_id, subject_id)
    SELECT now(), 'update', n, n %% 30, '2026-01-01'::date + n %% 900, '2026-01-01', '2026-01-15',
           'planned', {context}, gen_random_uuid(), n, n %% 1000
      FROM generate_series(1, %(visits)s) n;
    INSERT INTO enrolment_centreevent (pgh_created_at, pgh_label, id, number, name, country_code,
        country_name, time_zone, status, last_subject_sequence, pgh_context, pgh_context_id,
        pgh_obj_id, study_id)
    SELECT now(), 'update', n, '0101', 'Hospital ' || n, 'FR', 'France', 'Europe/Paris', 'planned',
           n %% 100, {context}, gen_random_uuid(), n, 1 FROM generate_series(1, %(centres)s) n
"""
CONTEXT = """jsonb_build_object('act', 'screen subject', 'by',
    'Site coordinator ' || n %% 40 || ' <coordinator@example.org>', 'kind', 'person', 'key', '17',
    'why', '', 'role', 'site_coordinator')"""
TABLES = ("enrolment_eligibilityanswerevent", "assessments_visitevent", "enrolment_centreevent")


def migrate(services: Services) -> None:
    own = owner_environment(services.urls, services.secrets, dict(os.environ))
    subprocess.run(
        [sys.executable, "manage.py", "migrate_both_sides", "-v0"], cwd=ROOT, env=own, check=True
    )


def fill(services: Services, rows: int) -> None:
    """Write the history as its owner. What is measured begins afterwards."""
    sizes = {"answers": rows * 3 // 5, "visits": rows * 3 // 10}
    sizes["centres"] = rows - sum(sizes.values())
    with psycopg.connect(services.urls.owner, autocommit=True) as owner:
        with psycopg.ClientCursor(owner) as cursor:
            cursor.execute(FILL.format(context=CONTEXT), sizes)
        owner.execute("VACUUM ANALYZE")


def read_plainly(url: str) -> int:
    read = 0
    with psycopg.connect(url) as reader:
        for table in TABLES:
            with reader.cursor(name="plain") as cursor:
                cursor.itersize = 5000
                cursor.execute(f"SELECT e.pgh_id, e::text FROM {table} e")
                for _ in cursor:
                    read += 1
    return read


def seal(url: str) -> int:
    sealed = 0
    with psycopg.connect(url, autocommit=True) as blinded:
        while True:
            [rows] = blinded.execute("SELECT public.seal_history(10000)").fetchone() or (0,)
            sealed += rows
            if rows == 0:
                return sealed


def verify() -> int:
    from iwrs.audit_trail.verifying import verify as verify_chain

    report = verify_chain("blinded")
    if report.findings or report.waiting:
        raise SystemExit(f"the seals do not hold: {report.findings[:3]}, {report.waiting} waiting")
    return report.rows


def timed(name: str, work: Callable[[], int], expected: int) -> float:
    began = time.perf_counter()
    rows = work()
    seconds = time.perf_counter() - began
    if rows != expected:
        raise SystemExit(f"{name}: {rows} rows, not {expected}")
    print(f"  {name:32} {rows / seconds:10,.0f} rows/s   {seconds:7.1f} s")
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.audit", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    state = Path(tempfile.mkdtemp(prefix="iwrs-bench-audit-"))
    try:
        with start(state) as services:
            migrate(services)
            fill(services, rows)
            worker = next(each for each in PROCESSES if each.name == "worker")
            os.environ |= environment(worker, services.urls, services.secrets, dict(os.environ))
            os.environ.setdefault("DJANGO_SETTINGS_MODULE", "iwrs.settings")
            import django

            django.setup()
            url = services.urls.blinded
            print(f"Audit trail of {rows:,} rows")
            plain = timed("read plainly", lambda: read_plainly(url), rows)
            sealing = timed("seal", lambda: seal(url), rows)
            again = timed("look again, nothing new", lambda: seal(url), 0)
            verifying = timed("verify", verify, rows)
            print(f"  seal / read                      {sealing / plain:10.2f}")
            print(f"  verify / read                    {verifying / plain:10.2f}")
            print(f"  a look that finds nothing takes  {again * 1000:10.0f} ms")
            from django.db import connections

            connections.close_all()
    finally:
        shutil.rmtree(state, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
