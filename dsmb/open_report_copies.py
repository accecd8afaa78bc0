"""The open report as a document: what it says of itself, and its copies as CSV and PDF/UA."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from dsmb.models import DataCut
from dsmb.open_report import OpenReport, open_report
from iwrs import clock
from iwrs.models import Study
from iwrs.paper import pdf
from iwrs.spreadsheet import harmless
from iwrs.templatetags.portal import day, moment

HEADING = "Open report – blinded, all subjects together – holds no comparison"
LATER = (
    "Facts that were recorded or corrected after this report was made are not in it: a later "
    "report of the same data cut may have other numbers."
)
SIMULATED = "Simulated data. Not evidence."
TEMPLATE = Path(__file__).parent / "open_report.typ"
COLUMNS = ("part", "row", "what", "value")


@dataclass(frozen=True)
class Document:
    """The report as it is handed over: the numbers, and `about`, what it says of itself."""

    report: OpenReport
    about: tuple[tuple[str, str], ...]
    heading: str = HEADING
    later: str = LATER

    @property
    def name(self) -> str:
        """Of the file, without its ending."""
        return f"{self.report.study}-open-report-{self.report.cut_on}"


def document(study: Study, cut: DataCut, *, by: str) -> Document:
    """Make the report of a cut now. `by` is who made it."""
    report = open_report(study, cut)
    labels = ", ".join(each.label for each in study.definition.recipients)
    about = (
        ("Study", study.code),
        ("Data cut", day(cut.cut_on)),
        ("Cut recorded", f"{moment(cut.made_at)}, by {cut.made_by}"),
        ("Reason of the cut", cut.reason),
        ("Made", f"{moment(clock.study_now(study.replay_now))}, by {by}"),
        ("For", "The open session: the committee, the sponsor and the steering committee"),
        ("Closed report", f"Another document, sealed to: {labels}"),
        ("SHA-256 of the numbers", report.sha256),
    )
    return Document(report, about)


def as_csv(made: Document) -> str:
    """One line for each number, after what the document says of itself."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    head = [("Document", made.heading)]
    head += [("Simulated", SIMULATED)] if made.report.simulated else []
    for name, said in (*head, *made.about, ("Later facts", made.later)):
        writer.writerow([harmless(cell) for cell in ("About", name, "", said)])
    for table in made.report.tables:
        for row in table.rows:
            for column, value in zip(table.columns[1:], row[1:], strict=True):
                cells = (table.title, row[0], column, value)
                writer.writerow([harmless(cell) for cell in cells])
    return text.getvalue()


def as_pdf(made: Document) -> bytes:
    """The report on paper, PDF/UA-1. Equal documents give equal bytes."""
    report = made.report
    return pdf(
        TEMPLATE,
        {
            "title": made.heading,
            "simulated": SIMULATED if report.simulated else "",
            "about": [list(each) for each in made.about],
            "later": made.later,
            "study": report.study,
            "cut": day(report.cut_on),
            "tables": [
                {
                    "title": each.title,
                    "columns": list(each.columns),
                    "rows": [[str(cell) for cell in row] for row in each.rows],
                    "note": each.note,
                }
                for each in report.tables
            ],
        },
    )
