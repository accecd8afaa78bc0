"""Pages of the blinded site that show the treatments of a study once it is unblinded."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from dsmb import opened
from enrolment.access import require, studies_for
from enrolment.pages import Page
from iwrs.models import Study
from iwrs.permissions import Act
from randomization.models import ListCommitment


class OpenedPage(Page):
    """Each subject's treatment; while the study is blinded, a sentence that says so."""

    sensitive = "the treatments of the unblinded study"
    study: Study

    def find(self, **kwargs: Any) -> None:
        self.study = get_object_or_404(studies_for(self.person), code=kwargs["code"])
        self.by = require(self.person, Act.SEE_OPENED, self.study)
        self.opened = opened.opened(self.study)

    def _record_look(self) -> None:
        """While the study is blinded the page shows nothing that somebody could have looked at."""
        if self.opened is not None:
            super()._record_look()

    def get(self, request: HttpRequest, code: str) -> HttpResponse:
        roots = ListCommitment.objects.filter(study=self.study).order_by("list_number", "part")
        context = {
            "study": self.study,
            "opened": self.opened,
            "rows": opened.rows(self.study),
            "roots": roots,
        }
        return render(request, "dsmb/opened.html", context)


class OpenedFile(OpenedPage):
    """A copy of it. Who took it is recorded; while the study is blinded there is none (404)."""

    copied = True
    kind = "csv"

    def get(self, request: HttpRequest, code: str) -> HttpResponse:
        if self.opened is None:
            return render(request, "dsmb/opened.html", {"study": self.study}, status=409)
        made = opened.as_csv(self.study) if self.kind == "csv" else opened.as_json(self.study)
        types = {"csv": "text/csv; charset=utf-8", "json": "application/json"}
        response = HttpResponse(made, content_type=types[self.kind])
        name = f"{self.study.code}-treatments.{self.kind}"
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return response


class OpenedProofs(OpenedFile):
    """The proofs, for `verify_opened.py`."""

    kind = "json"
