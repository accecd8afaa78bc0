"""What the audit trail is narrowed to, and where a page of it ends."""

from dataclasses import dataclass
from datetime import datetime

from iwrs.models import Study


@dataclass(frozen=True, order=True)
class Place:
    """Where a page ends: time, table and key of its last line."""

    at: datetime
    source: str
    id: int

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%dT%H:%M:%S.%f}~{self.source}~{self.id}"

    @classmethod
    def read(cls, text: str) -> "Place | None":
        """The place that an address names; None when it names none."""
        try:
            at, source, row = text.split("~")
            return cls(datetime.strptime(f"{at}+0000", "%Y-%m-%dT%H:%M:%S.%f%z"), source, int(row))
        except ValueError:
            return None


@dataclass(frozen=True)
class Filter:
    """What the trail is narrowed to. Empty parts narrow nothing.

    `since` and `until` are moments, `until` is not included. `source` is a table's key, `field` a
    column of it; `key` of `subjects` are primary keys, and so are `accounts` of this side.
    """

    study: Study
    subjects: tuple[int, ...] | None = None
    accounts: tuple[int, ...] | None = None
    by: str = ""
    act: str = ""
    acts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    field: str = ""
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None
    code_breaks: bool = True
