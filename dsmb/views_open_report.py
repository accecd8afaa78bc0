"""The open report of a data cut, for blinded people: on a page, as CSV and on paper."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from dsmb.models import DataCut
from dsmb.open_report_copies import as_csv, as_pdf, document
from enrolment.access import require, studies_for
from enrolment.pages import Page
from iwrs.models import Study
from iwrs.permissions import Act
from iwrs.templatetags.portal import day


class OpenReports(Page):
    """The study's data cuts; each has its open report."""

    study: Study

    def find(self, **kwargs: Any) -> None:
        self.study = get_object_or_404(studies_for(self.person), code=kwargs["code"])
        self.by = require(self.person, Act.SEE_OPEN_REPORT, self.study)

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        context = {"study": self.study, "cuts": self.study.data_cuts.all()}
        return render(request, "dsmb/open_reports.html", context)


class OpenReportPage(OpenReports):
    """The open report of one data cut, made now."""

    sensitive = "the open report"
    cut: DataCut

    def find(self, **kwargs: Any) -> None:
        super().find(**kwargs)
        self.cut = get_object_or_404(DataCut, study=self.study, pk=kwargs["pk"])
        self.about = f"data cut of {day(self.cut.cut_on)}"

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        made = document(self.study, self.cut, by=self.by.label)
        context = {"study": self.study, "cut": self.cut, "made": made}
        return render(request, "dsmb/open_report.html", context)


class OpenReportCsv(OpenReportPage):
    """A copy of it for a spreadsheet. Who took it is recorded."""

    copied = True

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        made = document(self.study, self.cut, by=self.by.label)
        return _file(as_csv(made), "text/csv; charset=utf-8", f"{made.name}.csv")


class OpenReportPdf(OpenReportPage):
    """A copy of it on paper. Who took it is recorded."""

    copied = True

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        made = document(self.study, self.cut, by=self.by.label)
        return _file(as_pdf(made), "application/pdf", f"{made.name}.pdf")


def _file(content: str | bytes, kind: str, name: str) -> HttpResponse:
    response = HttpResponse(content, content_type=kind)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
