"""Two plays of one tape that differ in arms alone, and everything that is received of each."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import psycopg
from django.db import connection

from dsmb.models import Extract, PaperPack, SealedPack
from dsmb.records import release_record
from iwrs.accounts.models import User
from iwrs.models import Study
from tests.blinding import allowed, catalogue, coupled, received, stage

# Place on disk, order of the writing transactions, order within one, and the values.
ROWS = """
    SELECT t.ctid::text, dense_rank() OVER (ORDER BY t.xmin::text::bigint), t.cmin::text,
           to_jsonb(t) - %s::text[]
      FROM {table} t ORDER BY t.ctid
"""
SIZES = """
    SELECT n.nspname || '.' || c.relname, c.relkind::text, pg_relation_size(c.oid), c.relpages,
           c.reltuples
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname IN ('public', 'unblinded') AND c.relkind IN ('r', 'i', 'm', 't', 'S')
     ORDER BY 1
"""
WRITES = """
    SELECT schemaname || '.' || relname, n_tup_ins, n_tup_upd, n_tup_del, n_live_tup
      FROM pg_stat_all_tables WHERE schemaname IN ('public', 'unblinded') ORDER BY 1
"""
Plant = Callable[[str], AbstractContextManager[Any]]  # of a leak, given the database's name


def nothing(database: str) -> AbstractContextManager[Any]:
    """No leak."""
    return nullcontext()


@dataclass
class Twins:
    """Two databases after their plays. `turned` are the subjects whose arm differs."""

    first: str
    second: str
    turned: set[int]
    plays: tuple[Any, Any]

    def both(self, look: Callable[[str], Any], plant: Plant = nothing) -> tuple[Any, Any]:
        """What is seen in each of them."""
        seen = []
        for database in (self.first, self.second):
            with coupled.django_on(database), plant(database):
                seen.append(look(database))
        return seen[0], seen[1]


@contextmanager
def twins(
    play: Callable[[str], Any], *, plant: Plant = nothing, suffix: str = ""
) -> Iterator[Twins]:
    """Play on two copies of this process's database.

    In the second, every second subject gets the other arm, and so do the kits of all places but
    those of the other subjects, and all entries of the list but theirs: as much as can differ
    while the same kit numbers serve.
    """
    with coupled.copies(suffix) as (first, second):
        entries, contents = coupled.arms(second)
        coupled.rewrite_arms(first, entries, contents)
        with coupled.django_on(first), plant(first):
            once = play(first)
        under_first = allocated(first)
        turned = set(sorted(under_first)[::2])
        kept = set(under_first) - turned
        kept_entries = {under_first[subject][0] for subject in kept}
        kept_entries |= {told for subject, told in told_entries(first).items() if subject in kept}
        coupled.rewrite_arms(
            second,
            coupled.swapped(entries, entries.keys() - kept_entries),
            coupled.swapped(contents, contents.keys() - places_of(first, kept)),
        )
        with coupled.django_on(second), plant(second):
            again = play(second)
        yield Twins(first, second, turned, (once, again))


def differing(made: Twins) -> set[int]:
    """Subjects who have another arm in the second play."""
    one, other = allocated(made.first), allocated(made.second)
    return {subject for subject in one if one[subject] != other.get(subject)}


def public_rows(database: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every public table as the blinded login sees it, but for masked columns."""
    requests: dict[str, int] = {}  # by the order in which their rows come
    with coupled.login("blinded", database) as blinded:
        return {
            table: [
                (*row[:3], _masked(row[3], requests))
                for row in blinded.execute(ROWS.format(table=table), [allowed.columns_of(table)])
            ]
            for table in catalogue.relations(blinded, "public", kinds="r")
            if table != "public.django_migrations"  # not shown to it
        }


def _masked(row: dict[str, Any], requests: dict[str, int]) -> dict[str, Any]:
    row = allowed.without_sealed_file(row)
    for column in allowed.OF_THE_REQUEST:
        if key := row.get(column):
            row |= {column: requests.setdefault(key, len(requests))}
    return {k: allowed.masked(v) if isinstance(v, str) else v for k, v in row.items()}


def sizes(database: str) -> dict[str, Any]:
    """Bytes, pages and rows of every table and index of both schemas: PostgreSQL tells everybody.

    They count rows. Which rows there are is decided by blinded acts alone, so the counts must be
    equal; that is why they need not be hidden.
    """
    connection.close()  # a session counts its writes to the server's statistics when it ends
    with coupled.login("owner", database) as owner:
        _wait_for_sessions_that_end(owner)
        owner.execute("ANALYZE")
    with coupled.login("blinded", database) as blinded:
        blinded.execute("SELECT pg_stat_force_next_flush()")
        return {
            "relations": {name: rest for name, *rest in blinded.execute(SIZES)},
            "writes": {name: rest for name, *rest in blinded.execute(WRITES)},
        }


def _wait_for_sessions_that_end(owner: psycopg.Connection) -> None:
    """Until the one that holds the old snapshot (see `coupled`) is the only other session."""
    deadline = time.monotonic() + 10
    others = 2
    while others > 1 and time.monotonic() < deadline:
        [others] = owner.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()


def places_of(database: str, subjects: set[int]) -> set[int]:
    """Every kit of the places from which these subjects were served or sent a kit."""
    with coupled.login("owner", database) as owner:
        rows = owner.execute(
            "WITH theirs AS (SELECT a.kit_id FROM unblinded.kit_assignment a"
            "    WHERE a.subject_id = ANY(%(subjects)s)"
            # Its history: a kit that was retired before its visit gave its row to the next.
            "  UNION SELECT v.kit_id FROM unblinded.visit_kit_event v"
            "    JOIN dispensing_dispensation d ON d.id = v.dispensation_id"
            "    WHERE d.subject_id = ANY(%(subjects)s))"
            " SELECT other.kit_id FROM theirs JOIN unblinded.kit_content c USING (kit_id)"
            " JOIN dispensing_kit k ON k.id = c.kit_id"
            " JOIN unblinded.kit_content other ON other.rank = c.rank"
            " JOIN dispensing_kit ok ON ok.id = other.kit_id AND ok.lot_id = k.lot_id",
            {"subjects": list(subjects)},
        )
        return {kit for (kit,) in rows}


def allocated(database: str) -> dict[int, tuple[int, str]]:
    """The list entry and arm of each subject."""
    with coupled.login("owner", database) as owner:
        rows = owner.execute("SELECT subject_id, entry_id, arm FROM unblinded.allocation")
        return {subject: (entry, arm) for subject, entry, arm in rows}


def told_entries(database: str) -> dict[int, int]:
    """The list entry whose arm a subject was told on paper, of accepted paper numbers."""
    with coupled.login("owner", database) as owner:
        rows = owner.execute(
            "SELECT subject_id, told_entry_id FROM unblinded.forced_allocation"
            " WHERE told_entry_id IS NOT NULL"
        )
        return dict(rows.fetchall())


def ciphertexts(study: Study) -> tuple[str, ...]:
    """SHA-256 of the encrypted files, which pages show."""
    extracts = Extract.objects.filter(study=study).order_by("pk")
    packs = SealedPack.objects.filter(centre__study=study).order_by("pk")
    papers = PaperPack.objects.filter(study=study).order_by("pk")
    rows = [x for each in (extracts, packs, papers) for x in each.values_list("sha256", flat=True)]
    # A release is signed over the fingerprint of its file, so the record's own hash differs too.
    released = [release_record(each).sha256 for each in extracts]
    return (*(digest for digest in rows if digest), *released)


def shown(
    cast: stage.Cast,
    readers: Sequence[User | None],
    *,
    limit: int,
    everywhere: Callable[[User | None], bool] = bool,
    forms: int = received.FORMS,
) -> Callable[[str], dict[str, Any]]:
    """A look at everything that these people (None: a stranger) and systems are answered."""

    def look(database: str) -> dict[str, Any]:
        study = Study.objects.get(pk=cast.study.pk)
        with received.logged() as log:
            pages = received.pages(study, readers, ciphertexts(study), limit, everywhere, forms)
            seen = {
                "pages": {name: reader.received for name, reader in pages.items()},
                "api": received.api(study, cast.edc),
            }
            for reader in pages.values():
                reader.received = {}
                reader.send_forms()
            seen["forms"] = {name: reader.received for name, reader in pages.items()}
        return seen | {"log": log.lines}

    return look
