"""Recompute every seal over the history of one side and name what differs (21 CFR 11.10(e)).

The rows are read as text and hashed here: no function stored in the database is trusted. What a
seal cannot show is a row that was changed or removed before it was sealed, or a chain that its
owner made anew as a whole, or cut off with its bookmarks; those are found by comparing with
exported roots.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction

from iwrs.audit import RECORDS
from iwrs.audit_trail.chain import Chain, StoredBatch, StoredSegment, stored_batches
from iwrs.audit_trail.findings import Finding, Kind
from iwrs.audit_trail.sealing import SCHEMA_OF, SealedTable, sealed_tables
from iwrs.merkle import leaf_hash

ROWS_AT_ONCE = 20_000
LONGEST_ACT = timedelta(hours=1)  # a row's time is when it was written, before its act's commit
# Rows are turned to text as they were for the seal, whatever the session's defaults.
_PINS = (
    "SET LOCAL search_path = pg_catalog",
    "SET LOCAL timezone = 'UTC'",
    "SET LOCAL datestyle = 'ISO, YMD'",
    "SET LOCAL intervalstyle = 'postgres'",
    "SET LOCAL bytea_output = 'hex'",
    "SET LOCAL extra_float_digits = 1",
)


@dataclass
class Report:
    """The result for one side. `waiting` rows are not sealed yet."""

    side: str
    batches: int = 0
    rows: int = 0
    waiting: int = 0
    last_chain: bytes = b""
    findings: list[Finding] = field(default_factory=list)


@contextmanager
def one_look(pins: tuple[str, ...] = _PINS) -> Iterator[Any]:
    """A cursor that sees one state of the database throughout, and writes nothing."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        for each in pins:
            cursor.execute(each)
        yield cursor


def verify(side: str) -> Report:
    """Compare every sealed row of a side with its seal. Findings are in the order of batches."""
    schema = SCHEMA_OF[side]
    report = Report(side)
    with one_look() as cursor:
        tables = sealed_tables(cursor, schema, RECORDS)
        chain, caught_up = Chain(side), None
        for batches in stored_batches(cursor, schema, ROWS_AT_ONCE):
            rows = _Rows(report, schema, tables)
            for batch in batches:
                report.findings += chain.follow(batch)
                rows.expect(batch, caught_up)
                caught_up = batch.sealed_at if batch.complete else caught_up
                report.batches += 1
                report.rows += batch.rows
            rows.compare(cursor)
        report.last_chain = chain.link
        for table in tables.values():
            _not_sealed(cursor, report, schema, table)
        _cut_off(cursor, report, schema, chain.number)
    report.findings.sort()
    return report


@dataclass(frozen=True)
class _Sealed:
    leaf: bytes
    batch: int
    not_before: datetime | None


class _Rows:
    """What the seals of some batches say of rows, compared with the rows themselves."""

    def __init__(self, report: Report, schema: str, tables: dict[str, SealedTable]) -> None:
        self._report, self._schema, self._tables = report, schema, tables
        self._expected: dict[tuple[str, tuple[str, ...]], dict[int, _Sealed]] = {}
        self._prefix: dict[tuple[str, tuple[str, ...]], bytes] = {}

    def expect(self, batch: StoredBatch, caught_up: datetime | None) -> None:
        earliest = caught_up - LONGEST_ACT if caught_up else None
        for segment in batch.segments:
            rows = self._expected.setdefault(self._kind(segment), {})
            for key, leaf in zip(segment.ids, segment.leaf_list(), strict=False):
                rows[key] = _Sealed(leaf, batch.number, earliest)

    def _kind(self, segment: StoredSegment) -> tuple[str, tuple[str, ...]]:
        kind = (segment.table, segment.columns)
        self._prefix[kind] = segment.prefix
        return kind

    def compare(self, cursor: Any) -> None:
        for kind, expected in self._expected.items():
            name, columns = kind
            table = self._tables.get(name)
            if table is None or not set(columns) <= set(table.columns):
                # The table, or a column of it, is gone: none of its rows can be shown as sealed.
                for key, sealed in expected.items():
                    self._found(sealed.batch, name, key, Kind.REMOVED)
                continue
            for key, text, written_at in self._read(cursor, table, columns, list(expected)):
                sealed = expected.pop(key)
                if leaf_hash(self._prefix[kind] + text.encode()) != sealed.leaf:
                    self._found(sealed.batch, name, key, Kind.CHANGED)
                elif written_at and sealed.not_before and written_at < sealed.not_before:
                    self._found(sealed.batch, name, key, Kind.DATED_BACK)
            for key, sealed in expected.items():
                self._found(sealed.batch, name, key, Kind.REMOVED)

    def _read(
        self, cursor: Any, table: SealedTable, columns: tuple[str, ...], keys: list[int]
    ) -> Iterator[tuple[int, str, datetime | None]]:
        row = ", ".join(f"e.{_quoted(each)}" for each in columns)
        written_at = "e.pgh_created_at" if table.is_history else "NULL"
        cursor.execute(
            f"SELECT e.{_quoted(table.key)}, ROW({row})::text, {written_at}"  # noqa: S608
            f" FROM {self._schema}.{_quoted(table.name)} e"
            f" WHERE e.{_quoted(table.key)} = ANY (%s::bigint[])",
            [keys],
        )
        while some := cursor.fetchmany(5000):
            yield from some

    def _found(self, batch: int, table: str, row: int, kind: Kind) -> None:
        self._report.findings.append(Finding(self._report.side, batch, table, row, kind))


_NOT_SEALED = """
    SELECT e.{key}::bigint, e.{key} <= greatest(
               (SELECT max(complete_to) FROM {schema}.audit_segment WHERE table_name = %(table)s),
               (SELECT complete_to FROM {schema}.audit_mark WHERE table_name = %(table)s))
      FROM {schema}.{name} e
     WHERE NOT EXISTS (SELECT FROM (SELECT unnest(ids) AS id FROM {schema}.audit_segment
                                     WHERE table_name = %(table)s) sealed WHERE sealed.id = e.{key})
"""
_SEALED_PAST = """
    SELECT coalesce(min(batch_id), 0) FROM {schema}.audit_segment
     WHERE table_name = %s AND complete_to >= %s
"""


def _not_sealed(cursor: Any, report: Report, schema: str, table: SealedTable) -> None:
    """Rows without a seal: they wait for one, unless their key lies in what is sealed."""
    names = {"schema": schema, "name": _quoted(table.name), "key": _quoted(table.key)}
    cursor.execute(_NOT_SEALED.format(**names), {"table": table.name})
    for key, past in cursor.fetchall():
        if past:
            cursor.execute(_SEALED_PAST.format(schema=schema), [table.name, key])
            batch = cursor.fetchone()[0]
            report.findings.append(Finding(report.side, batch, table.name, key, Kind.INSERTED))
        else:
            report.waiting += 1


def _cut_off(cursor: Any, report: Report, schema: str, last: int) -> None:
    """The sealing knows of a later batch than the last one: the end of the chain was removed."""
    cursor.execute(f"SELECT coalesce(max(batch), 0) FROM {schema}.audit_mark")  # noqa: S608
    if cursor.fetchone()[0] > last:
        report.findings.append(Finding(report.side, last + 1, "the end", 0, Kind.END))


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name.replace('"', '""'))
