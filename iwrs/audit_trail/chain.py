"""The chain of batches as it is stored, and whether it holds. Computed here, not by the database.

What is hashed is described in docs/algorithms/audit-seal.md.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from iwrs.audit_trail.findings import Finding, Kind
from iwrs.merkle import HASH_BYTES, leaf_hash, root

FORMAT = "iwrs audit seal/1"


@dataclass(frozen=True)
class StoredSegment:
    """The sealed rows of one table in a batch: keys and leaves in the same order."""

    table: str
    columns: tuple[str, ...]
    ids: list[int]
    leaves: bytes
    root: bytes
    complete_to: int

    @property
    def prefix(self) -> bytes:
        """What stands before a row's text in its leaf."""
        return f"{self.table}\n{','.join(self.columns)}\n".encode()

    def leaf_list(self) -> list[bytes]:
        return [self.leaves[at : at + HASH_BYTES] for at in range(0, len(self.leaves), HASH_BYTES)]

    def holds(self) -> bool:
        """True when keys and leaves are as many, and the leaves give the root."""
        leaves = self.leaf_list()
        return len(leaves) == len(self.ids) > 0 and root(leaves) == self.root

    def digest(self) -> bytes:
        """The segment's own leaf in the tree of the batch."""
        ids = ",".join(map(str, self.ids))
        lines = (self.table, ",".join(self.columns), ids, str(self.complete_to), self.root.hex())
        return leaf_hash("\n".join(lines).encode())


@dataclass(frozen=True)
class StoredBatch:
    """One link of a chain."""

    number: int
    sealed_at: datetime
    complete: bool
    rows: int
    root: bytes
    chain: bytes
    segments: list[StoredSegment] = field(default_factory=list)

    def link(self, side: str, before: bytes) -> bytes:
        """The hash that chains this batch to the one before (empty before the first)."""
        moment = f"{self.sealed_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
        complete = "t" if self.complete else "f"
        lines = (FORMAT, side, self.number, moment, complete, self.rows)
        text = "\n".join([*map(str, lines), before.hex(), self.root.hex()])
        return hashlib.sha256(text.encode()).digest()


_BATCHES = """
    SELECT b.number, b.sealed_at, b.complete, b.rows, b.root, b.chain,
           s.table_name, s.columns, s.ids, s.leaves, s.root, s.complete_to
      FROM {schema}.audit_batch b LEFT JOIN {schema}.audit_segment s ON s.batch_id = b.number
     WHERE b.number BETWEEN %s AND %s ORDER BY b.number, s.place
"""


def stored_batches(cursor: Any, schema: str, rows_at_once: int) -> Iterator[list[StoredBatch]]:
    """The batches in their order, in groups of about `rows_at_once` sealed rows."""
    cursor.execute(f"SELECT number, rows FROM {schema}.audit_batch ORDER BY number")  # noqa: S608
    for first, last in _groups(cursor.fetchall(), rows_at_once):
        cursor.execute(_BATCHES.format(schema=schema), [first, last])
        found: dict[int, StoredBatch] = {}
        for number, sealed_at, complete, rows, top, chain, *segment in cursor.fetchall():
            batch = found.setdefault(
                number,
                StoredBatch(number, sealed_at, complete, rows, bytes(top), bytes(chain)),
            )
            if segment[0] is not None:
                table, columns, ids, leaves, own, complete_to = segment
                batch.segments.append(
                    StoredSegment(
                        table, tuple(columns), ids, bytes(leaves), bytes(own), complete_to
                    )
                )
        yield list(found.values())


def _groups(batches: Sequence[tuple[int, int]], rows_at_once: int) -> Iterator[tuple[int, int]]:
    first, rows = None, 0
    for number, size in batches:
        first, rows = (number if first is None else first), rows + size
        if rows >= rows_at_once:
            yield first, number
            first, rows = None, 0
    if first is not None:
        yield first, batches[-1][0]


class Chain:
    """Follows a chain from its first batch and says where it does not hold."""

    def __init__(self, side: str) -> None:
        self.side = side
        self.number = 0
        self.link = b""

    def follow(self, batch: StoredBatch) -> list[Finding]:
        """What is wrong with the next batch itself. Its rows are compared elsewhere."""
        found = [
            Finding(self.side, batch.number, each.table, 0, Kind.SEAL)
            for each in batch.segments
            if not each.holds()
        ]
        size = sum(len(each.ids) for each in batch.segments)
        digests = [each.digest() for each in batch.segments]
        if not digests or root(digests) != batch.root or size != batch.rows:
            found.append(Finding(self.side, batch.number, "the whole batch", 0, Kind.SEAL))
        continues = batch.number == self.number + 1
        if not continues or batch.link(self.side, self.link) != batch.chain:
            found.append(Finding(self.side, batch.number, "", 0, Kind.CHAIN))
        self.number, self.link = batch.number, batch.chain
        return found
