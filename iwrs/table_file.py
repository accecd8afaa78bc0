"""Reading a CSV file that people made elsewhere: every fault by row and column, and all at once."""

import csv
import io
from dataclasses import dataclass, field

from iwrs.problems import Invalid

SHOWN = 50


@dataclass
class Faults:
    """Where a file is wrong. Keeps the first ones and counts the rest."""

    shown: dict[str, str] = field(default_factory=dict)
    count: int = 0

    def add(self, where: str, what: str) -> None:
        self.count += 1
        if len(self.shown) < SHOWN:
            self.shown[where] = f"{self.shown[where]} {what}" if where in self.shown else what

    def at(self, row: int, column: str, what: str) -> None:
        self.add(f"row {row}, {column}", what)

    def raise_any(self, *, action: str) -> None:
        """Raise `Invalid` with what was found, if anything was. `action` says what to do."""
        if not self.count:
            return
        errors = dict(self.shown)
        if self.count > SHOWN:
            errors["more"] = f"{self.count} faults in all; the first {SHOWN} are shown."
        raise Invalid(
            errors,
            title=f"The file was not imported: {self.count} "
            + ("fault." if self.count == 1 else "faults."),
            action=action,
        )


def read_rows(file: str | bytes, faults: Faults, *, most: int) -> list[tuple[int, list[str]]]:
    """The rows with their line numbers, from 1 with the header; blank lines are left out.

    UTF-8, with or without its mark, of at most `most` bytes. What is wrong goes into `faults`, and
    nothing is returned.
    """
    text = _text(file, faults, most)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    lines = []
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                lines.append((reader.line_num, [cell.strip() for cell in cells]))
    except csv.Error:
        faults.add(
            f"row {reader.line_num}",
            "It is not CSV: a quotation mark or another sign is out of place.",
        )
        return []
    return lines


def _text(file: str | bytes, faults: Faults, most: int) -> str:
    if len(file) > most:
        faults.add("file", f"It is larger than {most // 2**20} MiB. Ask for smaller files.")
        return ""
    if isinstance(file, str):
        text = file.removeprefix("\ufeff")
    else:
        try:
            text = file.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            row = file[: error.start].count(b"\n") + 1
            faults.add("file", f"It is not text in UTF-8 (see row {row}). Save it as CSV UTF-8.")
            return ""
    if not text.strip():
        faults.add("file", "It is empty.")
        return ""
    return text
