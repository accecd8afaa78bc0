"""What is signed, as bytes that anyone can make again (docs/signatures.md). No Django."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

VERSION = 1  # of the canonical form; a new one for every change of what is below


@dataclass(frozen=True)
class Record:
    """A record as it is signed: what kind, which one, and the facts that the signer reads.

    `facts` may hold texts, whole numbers, yes or no, days, moments, nothing, and lists and
    mappings of these. Bound to its kind and key, the hash of one record is never that of another.
    """

    kind: str
    pk: int
    facts: Mapping[str, object]

    @property
    def canonical(self) -> str:
        """JSON with sorted keys and without spaces, in the form numbered `VERSION`."""
        whole = {"facts": _plain(self.facts), "id": self.pk, "kind": self.kind, "version": VERSION}
        return json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @property
    def sha256(self) -> str:
        """SHA-256 of the canonical text in UTF-8, as 64 hexadecimal digits."""
        return hashlib.sha256(self.canonical.encode("utf-8")).hexdigest()


@dataclass(frozen=True)
class Signature:
    """Who signed, when, and what the signature means (21 CFR 11.50).

    Services take a verified signature, so that a replay does not hash a password per act: there
    `account` is None, since nobody signs, and nothing is kept. `signed_at` is business time; the
    kept row has the database's. `shown` is the hash of the record that the signer was shown.
    """

    signed_by: str
    signed_at: datetime
    meaning: str
    account: int | None = None
    printed_name: str = ""
    role: str = ""
    shown: str = ""


def _plain(value: object) -> object:
    """The value as JSON holds it in one way only: numbers with a fraction become texts."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal | float):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    raise TypeError(f"a record cannot hold a {type(value).__name__}")
