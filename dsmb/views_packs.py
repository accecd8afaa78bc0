"""Pages of the sealed packs on the blinded side. Nobody here can open one."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from dsmb import packs
from dsmb.models import PaperPack, SealedPack
from dsmb.paper import newest_paper, paper_name, paper_row
from enrolment.access import allowed, centres_for, require
from enrolment.models import Centre
from enrolment.pages import Page, StudyAct
from iwrs.forms import PortalForm
from iwrs.permissions import Act


class Packs(StudyAct):
    """Each centre's newest pack: how old it is and what it does not cover.

    Who does not keep the packs reads the facts only, and is offered no file.
    """

    act = Act.SEE_PACKS

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        context = {
            "study": self.study,
            "rows": packs.rows(self.study),
            "paper": paper_row(self.study),
            "may_keep": allowed(self.person, Act.KEEP_PACKS, self.study),
            "may_record": allowed(self.person, Act.RECORD_OPENING, self.study),
        }
        return render(request, "dsmb/packs.html", context)

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return self.http_method_not_allowed(request)


class DownloadPack(Page):
    """Hand over a centre's newest sealed file, to be kept outside the system."""

    sensitive = "a sealed code-break pack"
    copied = True
    centre: Centre

    def find(self, **kwargs: Any) -> None:
        self.centre = get_object_or_404(centres_for(self.person), pk=kwargs["pk"])
        self.study = self.centre.study
        self.about = f"centre {self.centre.number}"
        self.by = require(self.person, Act.KEEP_PACKS, self.centre)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        pack = packs.newest_pack(self.centre)
        return _handed_over(pack, packs.file_name(pack))


class DownloadPaper(StudyAct):
    """Hand over the study's newest randomization pack, to be kept outside the system."""

    act = Act.KEEP_PACKS
    sensitive = "a sealed randomization pack"
    copied = True
    heading = "Download the randomization pack"

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return self.http_method_not_allowed(request)

    def perform(self, form: PortalForm) -> HttpResponse:
        pack = newest_paper(self.study)
        return _handed_over(pack, paper_name(pack))


def _handed_over(pack: SealedPack | PaperPack, name: str) -> HttpResponse:
    response = HttpResponse(bytes(pack.sealed), content_type="application/octet-stream")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
