"""What a verification of the audit trail can find, in plain words."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How a row, a seal or a chain differs from what was sealed."""

    CHANGED = "changed"
    REMOVED = "removed"
    INSERTED = "inserted"
    DATED_BACK = "dated back"
    SEAL = "seal changed"
    CHAIN = "chain broken"
    END = "end removed"
    ROOTS = "not as exported"


@dataclass(frozen=True, order=True)
class Finding:
    """One difference. `row` is the key in `table`; 0 and "" when it concerns a whole batch."""

    side: str
    batch: int
    table: str
    row: int
    kind: Kind

    def __str__(self) -> str:
        row = f"Row {self.row} of {self.table}"
        texts = {
            Kind.CHANGED: f"{row} was changed after batch {self.batch} sealed it.",
            Kind.REMOVED: f"{row} was removed after batch {self.batch} sealed it.",
            Kind.INSERTED: f"{row} was inserted into what batch {self.batch} had sealed.",
            Kind.DATED_BACK: f"{row}, sealed in batch {self.batch}, was dated back: it bears a "
            "time at which everything had been sealed without it.",
            Kind.SEAL: f"The seal of {self.table} in batch {self.batch} was changed.",
            Kind.CHAIN: f"Batch {self.batch} does not continue the chain: a batch was changed, "
            "removed or inserted.",
            Kind.END: f"The chain was cut off: batch {self.batch} was made and is not there.",
            Kind.ROOTS: f"Batch {self.batch} is not the one whose root was exported.",
        }
        return f"{self.kind.capitalize()}, {self.side} side: {texts[self.kind]}"
