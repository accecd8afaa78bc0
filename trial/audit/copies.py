"""Copies of the audit trail: CSV as a stream, PDF as one tagged document (21 CFR 11.10(b))."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.http import HttpResponse, StreamingHttpResponse

from iwrs.paper import pdf
from iwrs.problems import Problem
from iwrs.spreadsheet import harmless
from iwrs.templatetags.portal import moment
from trial.audit.sentences import Change, Line, lines
from trial.audit.trail import Filter, all_of

MOST_LINES_OF_PDF = 2000
TEMPLATE = Path(__file__).parent / "trail.typ"
COLUMNS = (
    *("time UTC", "time at the centre", "time zone", "person or system", "role", "act", "kind"),
    *("what", "subject", "value of", "from", "to", "reason", "table", "row", "request"),
)


class _Echo:
    """A file that gives back what is written to it."""

    def write(self, text: str) -> str:
        return text


def csv_copy(wanted: Filter) -> StreamingHttpResponse:
    """The trail as CSV, made while it is sent: a long one takes no memory."""
    response = StreamingHttpResponse(_rows(wanted), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{_name(wanted)}.csv"'
    return response


def _rows(wanted: Filter) -> Iterator[str]:
    write = csv.writer(_Echo()).writerow
    yield write(COLUMNS)
    for events in all_of(wanted):
        for line in lines(events, wanted.study, code_breaks=wanted.code_breaks):
            for change in line.changes or [Change("", "", "")]:
                yield write([harmless(cell) for cell in _cells(line, change)])


def _cells(line: Line, change: Change) -> list[str]:
    local = line.event.at.astimezone(ZoneInfo(line.zone))
    return [
        *(f"{line.event.at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}", f"{local:%Y-%m-%d %H:%M:%S}"),
        *(line.zone, line.by, line.role, line.act, line.verb, line.what, line.subject),
        *(change.what, change.old, change.new, line.why),
        *(line.event.source.events._meta.db_table.replace('"', ""), str(line.event.id)),
        line.event.request,
    ]


def pdf_copy(wanted: Filter, *, told: str, by: str) -> HttpResponse:
    """The trail as PDF/UA-1. Raises `Problem` when it is too long to be read on paper."""
    found: list[dict[str, Any]] = []
    for events in all_of(wanted):
        if len(found) + len(events) > MOST_LINES_OF_PDF:
            raise Problem(
                code="too_long_for_pdf",
                title=f"A PDF holds at most {MOST_LINES_OF_PDF} lines, and these are more.",
                action="Give fewer days or a subject, or take the CSV.",
                status=422,
            )
        made = lines(events, wanted.study, code_breaks=wanted.code_breaks)
        found += [_told(each) for each in made]
    document = {
        "title": f"Audit trail of study {wanted.study.code}",
        "side": f"{settings.SIDE} side",
        "simulated": wanted.study.simulated,
        "filter": told,
        "made": f"{moment(datetime.now(UTC))}, by {by}",
        "lines": found,
    }
    response = HttpResponse(pdf(TEMPLATE, document), content_type="application/pdf")
    response.headers["Content-Disposition"] = f'attachment; filename="{_name(wanted)}.pdf"'
    return response


def _told(line: Line) -> dict[str, Any]:
    return {
        "at": moment(line.event.at, line.zone),
        "text": str(line),
        "request": line.event.request,
        "changes": line.listed,
    }


def _name(wanted: Filter) -> str:
    return f"{wanted.study.code}-audit-trail-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
