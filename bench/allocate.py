"""`python -m bench.allocate`: the gate beside a plain update, and what it costs when all grows.

The plain update is pgbench's single row, raised by every client, on the same database in the same
run: what any lock on one row costs. Growth is written by the database's owner with triggers off
(places, allocations, margins and studies as acts would leave them); what is measured begins after.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psycopg

from bench.randomize import pgbench, prepare
from iwrs.embedded import Services, start

ALLOCATE = """\
\\set i :i + 1
\\set s :subject + :client_id * :each + :i - 1
SELECT gate.allocate(:s);
"""
UPDATE = "UPDATE bench_row SET n = n + 1 WHERE id = 1;\n"
CLIENTS = (1, 8, 32)
STEPS = (("study", "blinded"), ("list", "unblinded"), ("subjects", "blinded"))
# Places and what used them, for each stratum in turn; the arm and draw are of no matter here.
GROW = """
    INSERT INTO unblinded.list_entry (list_id, stratum_key, position, block, arm, draw)
    SELECT c.list_id, c.stratum_key, n, 1, CASE WHEN l.dynamic THEN '' ELSE 'EVE' END,
           CASE WHEN l.dynamic THEN n END
      FROM unblinded.stratum_cursor c JOIN unblinded.list l ON l.id = c.list_id,
           generate_series(c.length + 1, %(each)s + c.length) n;
    INSERT INTO unblinded.allocation (subject_id, entry_id, arm, allocated_at)
    SELECT 10000000 + e.id, e.id, 'EVE', now()
      FROM unblinded.list_entry e JOIN unblinded.stratum_cursor c USING (list_id, stratum_key)
     WHERE e.position > c.used AND e.position <= %(each)s;
    INSERT INTO unblinded.margin (list_id, factor, level, position, counts)
    SELECT c.list_id, f.factor, f.level, n, ARRAY[n / 3, n / 3, n / 3]
      FROM unblinded.stratum_cursor c JOIN unblinded.list l ON l.id = c.list_id AND l.dynamic,
           (VALUES ('visceral', 'yes'), ('visceral', 'no'), ('sensitive', 'yes'),
                   ('sensitive', 'no')) f (factor, level),
           generate_series(c.used + 1, %(each)s) n
     WHERE (n + (f.level = 'yes')::int) %% 2 = 0;
    UPDATE unblinded.stratum_cursor SET length = length + %(each)s, used = %(each)s;
    ANALYZE;
"""
STUDIES = """
    INSERT INTO iwrs_study SELECT (jsonb_populate_record(s, jsonb_build_object(
        'id', 1000 + n, 'code', 'study_' || n))).*
      FROM iwrs_study s, generate_series(1, %(more)s) n;
    INSERT INTO unblinded.list SELECT (jsonb_populate_record(l, jsonb_build_object(
        'id', 1000 + n, 'study_id', 1000 + n, 'seed', '\\x' || lpad(to_hex(n), 64, '0')))).*
      FROM unblinded.list l, generate_series(1, %(more)s) n;
    INSERT INTO unblinded.stratum_cursor SELECT (jsonb_populate_record(c, jsonb_build_object(
        'id', 100000 + n * 100 + c.id, 'list_id', 1000 + n))).*
      FROM unblinded.stratum_cursor c, generate_series(1, %(more)s) n;
    INSERT INTO unblinded.list_entry (list_id, stratum_key, position, block, arm, draw)
    SELECT 1000 + n, e.stratum_key, e.position, e.block, e.arm, e.draw
      FROM unblinded.list_entry e, generate_series(1, %(more)s) n WHERE e.position <= 100;
    ANALYZE;
"""


def superuser(services: Services) -> psycopg.Connection:
    """The database's superuser, whose rows no trigger sees."""
    made = services.postgres.superuser(services.database)
    made.execute("SET session_replication_role = replica")
    return made


def one_by_one(services: Services, subjects: range) -> float:
    """The median of single allocations, in milliseconds."""
    taken = []
    with psycopg.connect(services.urls.blinded, autocommit=True) as blinded:
        for subject in subjects:
            began = time.perf_counter()
            blinded.execute("SELECT gate.allocate(%s)", [subject])
            taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken[20:])


def beside_an_update(services: Services, first: int, each: int) -> int:
    """Print the gate beside the plain update at each number of clients; the next free subject."""
    with superuser(services) as owner:
        owner.execute("CREATE TABLE bench_row (id int PRIMARY KEY, n bigint NOT NULL)")
        owner.execute("INSERT INTO bench_row VALUES (1, 0)")
        owner.execute("GRANT SELECT, UPDATE ON bench_row TO iwrs_blinded")
    for clients in CLIENTS:
        plain = pgbench(services.urls.blinded, UPDATE, clients, each)
        gate = pgbench(services.urls.blinded, ALLOCATE, clients, each, {"subject": first})
        first += clients * each
        ratio = gate.per_second / plain.per_second
        print(f"  {clients:>2} clients  update {plain}   gate {gate}   ratio {ratio:.2f}")
    return first


def growth(services: Services, first: int, steps: int, slots: int, studies: int) -> None:
    """Print the median of one allocation as it is, with many studies, and with many used slots."""
    medians = [one_by_one(services, range(first, first + steps))]
    with superuser(services) as owner:
        _run(owner, STUDIES, {"more": studies - 1})
    medians.append(one_by_one(services, range(first + steps, first + 2 * steps)))
    with superuser(services) as owner:
        strata = owner.execute(
            "SELECT count(*) FROM unblinded.stratum_cursor WHERE list_id < 1000"
        ).fetchone()
        assert strata is not None
        owner.execute("DELETE FROM unblinded.stratum_cursor WHERE list_id >= 1000")
        _run(owner, GROW, {"each": slots // strata[0]})
    medians.append(one_by_one(services, range(first + 2 * steps, first + 3 * steps)))
    names = ("as it is", f"{studies} studies", f"{slots} used slots")
    for name, median in zip(names, medians, strict=True):
        print(f"  {name:<20} {median:6.2f} ms   ratio {median / medians[0]:.2f}")


def _run(owner: psycopg.Connection, statements: str, values: dict[str, int]) -> None:
    with psycopg.ClientCursor(owner) as cursor:
        cursor.execute(statements, values)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.allocate", description=__doc__)
    parser.add_argument("--each", type=int, default=50, help="allocations per client")
    parser.add_argument("--slots", type=int, default=1_000_000)
    parser.add_argument("--studies", type=int, default=1_000)
    options = parser.parse_args()
    for method in ("permuted-blocks", "minimization"):
        os.environ["BENCH_METHOD"] = method
        state = Path(tempfile.mkdtemp(prefix="iwrs-bench-state-"))
        needed = sum(CLIENTS) * options.each + 3 * 220
        try:
            with start(state) as services:
                facts = prepare(services, 2 * needed, STEPS)
                print(f"Allocation by {method}, {options.each} by each client")
                first = beside_an_update(services, int(str(facts["raw_subject"])), options.each)
                growth(services, first, 220, options.slots, options.studies)
        finally:
            shutil.rmtree(state, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
