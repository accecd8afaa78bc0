"""Roots outside the database: exported, time-stamped by a third party, and compared later.

Only what the database's owner cannot reach shows that a whole chain was made anew.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

from iwrs.audit_trail.findings import Finding, Kind
from iwrs.audit_trail.sealing import SCHEMA_OF, sides
from iwrs.audit_trail.verifying import one_look

FORMAT = "iwrs audit roots/1"


_ROOTS = """
    SELECT number, to_char(sealed_at, 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), rows,
           encode(root, 'hex'), encode(chain, 'hex')
      FROM {schema}.audit_batch ORDER BY number
"""


class RootsError(ValueError):
    """A file that holds no exported roots, or none of a chain that this process can read."""


@dataclass(frozen=True)
class Root:
    """One batch as it is exported."""

    number: int
    sealed_at: str
    rows: int
    root: str
    chain: str


def export(path: Path) -> Path:
    """Write the roots of every chain in reach to `path` (JSON), and beside it a request for a
    trusted time-stamp of that file (RFC 3161, SHA-256). Returns the path of the request.
    """
    chains = {side: [vars(each) for each in _stored(side)] for side in sides()}
    made = {"format": FORMAT, "exported_at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"}
    text = json.dumps(made | {"chains": chains}, indent=1) + "\n"
    path.write_text(text, encoding="utf-8")
    request = path.with_name(f"{path.name}.tsq")
    builder = TimestampRequestBuilder().data(text.encode())
    request.write_bytes(builder.hash_algorithm(HashAlgorithm.SHA256).build().as_bytes())
    return request


def compare(path: Path) -> list[Finding]:
    """Batches that are no longer those whose roots were exported to `path`.

    Raises `RootsError` when the file is not an export, or has no chain that this process reads.
    """
    chains = _read(path)
    mine = [side for side in sides() if side in chains]
    if not mine:
        raise RootsError(
            f"{path} holds no roots of the {' or '.join(sides())} side. Give the file that "
            "`manage.py audit roots` wrote on this side."
        )
    found = []
    for side in mine:
        stored = {each.number: each for each in _stored(side)}
        for exported in chains[side]:
            if stored.get(exported.number) != exported:
                found.append(Finding(side, exported.number, "", 0, Kind.ROOTS))
    return sorted(found)


def _stored(side: str) -> list[Root]:
    with one_look() as cursor:
        cursor.execute(_ROOTS.format(schema=SCHEMA_OF[side]))
        return [Root(*row) for row in cursor.fetchall()]


def _read(path: Path) -> dict[str, list[Root]]:
    try:
        told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if told["format"] != FORMAT:
            raise RootsError(f"{path} has format {told['format']!r}, not {FORMAT!r}.")
        return {side: [Root(**each) for each in roots] for side, roots in told["chains"].items()}
    except OSError as error:
        raise RootsError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, RootsError):
            raise
        raise RootsError(
            f"{path} holds no exported roots. `manage.py audit roots` writes such a file."
        ) from None
