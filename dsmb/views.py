"""The pages of room 5 on the blinded side: overall events, data cuts, sealed extracts.

The administrator sees that a package exists, its size and its fingerprint, and cannot open it.
"""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from dsmb import services
from dsmb.forms import CutForm, ExtractForm
from dsmb.models import DataCut, Extract
from dsmb.records import cuts_record, extract_record, release_record
from enrolment.access import allowed, require, studies_for
from enrolment.pages import Page, Signing, StudyAct
from iwrs.forms import PortalForm
from iwrs.models import Study
from iwrs.permissions import Act
from iwrs.signatures import Record
from iwrs.signatures.services import signatures_by_pk
from iwrs.templatetags.portal import day

EXTRACTS_SHOWN = 50


class Analysis(Page):
    """Events of all subjects together, the data cuts and the extracts of a study."""

    study: Study

    def find(self, **kwargs: Any) -> None:
        self.study = get_object_or_404(studies_for(self.person), code=kwargs["code"])
        self.by = require(self.person, Act.SEE_EVENT_COUNT, self.study)

    def get(self, request: HttpRequest, code: str) -> HttpResponse:
        labels = {each.key: each.label for each in self.study.definition.recipients}
        extracts = list(services.extracts_of(self.study)[:EXTRACTS_SHOWN])
        signed = signatures_by_pk(extract_record(each) for each in extracts)
        released = signatures_by_pk(release_record(each) for each in extracts)
        context = {
            "study": self.study,
            "count": services.count_events(self.study),
            "looks": services.planned_looks(self.study),
            "cuts": self.study.data_cuts.all(),
            "extracts": [
                (
                    each,
                    labels.get(each.recipient, each.recipient),
                    signed.get(each.pk, []) + released.get(each.pk, []),
                )
                for each in extracts
            ],
            "may_read_open": allowed(self.person, Act.SEE_OPEN_REPORT, self.study),
            "may_cut": allowed(self.person, Act.CUT_DATA, self.study),
            "may_extract": allowed(self.person, Act.REQUEST_EXTRACT, self.study),
        }
        return render(request, "dsmb/analysis.html", context)


class CutData(StudyAct):
    act = Act.CUT_DATA
    form_class = CutForm
    heading = "Make a data cut"
    explain = "A day is cut once, and a cut is not taken back."
    submit = "Make the data cut"
    grave = True

    def form(self, typed: Any = None) -> PortalForm:
        return CutForm(typed, initial={"on": services.study_today(self.study)})

    def back(self) -> str:
        return reverse("analysis", args=[self.study.code])

    def perform(self, form: PortalForm) -> HttpResponse:
        cut = services.cut_data(self.study, by=self.by, **form.cleaned_data)
        return self.done(f"The data are cut on {day(cut.cut_on)}.")


class RequestExtract(Signing, StudyAct):
    act = Act.REQUEST_EXTRACT
    heading = "Request a sealed extract"
    explain = "The package is sealed for its recipient. You can send it on; you cannot open it."
    submit = "Sign and request"
    meaning = "I ask for this sealed extract of the study's data"

    def record(self) -> Record:
        return cuts_record(self.study)

    def form(self, typed: Any = None) -> PortalForm:
        cuts = [(str(each.pk), day(each.cut_on)) for each in self.study.data_cuts.all()]
        return ExtractForm(self.study.definition, cuts, typed)

    def back(self) -> str:
        return reverse("analysis", args=[self.study.code])

    def perform(self, form: PortalForm) -> HttpResponse:
        cut = get_object_or_404(DataCut, study=self.study, pk=form.cleaned_data["cut"])
        services.request_extract(
            self.study,
            cut,
            recipient=form.cleaned_data["recipient"],
            by=self.by,
            reason=form.cleaned_data["reason"],
            signature=self.sign(form),
        )
        return self.done("The extract is requested. Its state is on this page.")


class ReleaseExtract(Signing, StudyAct):
    """A second person lets the sealed file leave."""

    act = Act.RELEASE_EXTRACT
    template_name = "dsmb/release.html"
    heading = "Release a sealed extract"
    explain = "The file can then be downloaded and sent to its recipient, who alone can open it."
    submit = "Sign and release"
    meaning = "I release this sealed file to its recipient"
    grave = True
    extract: Extract

    def find(self, **kwargs: Any) -> None:
        within = Extract.objects.filter(study__in=studies_for(self.person))
        self.extract = get_object_or_404(
            within.select_related("study", "cut").defer("sealed"), pk=kwargs["pk"]
        )
        self.study = self.extract.study
        self.by = require(self.person, self.act, self.study)

    def record(self) -> Record:
        return release_record(self.extract)

    def context(self) -> dict[str, Any]:
        labels = {each.key: each.label for each in self.study.definition.recipients}
        recipient = labels.get(self.extract.recipient, self.extract.recipient)
        return {"study": self.study, "extract": self.extract, "recipient": recipient}

    def perform(self, form: PortalForm) -> HttpResponse:
        services.release_extract(self.extract, by=self.by, signature=self.sign(form))
        return self.done(f"Extract {self.extract.pk} is released.")


class DownloadExtract(Page):
    """Hand over a sealed file that was released; doing it again gives the same file."""

    sensitive = "a sealed extract"
    copied = True
    extract: Extract

    def find(self, **kwargs: Any) -> None:
        within = Extract.objects.filter(study__in=studies_for(self.person))
        self.extract = get_object_or_404(
            within.select_related("study").defer("sealed"), pk=kwargs["pk"]
        )
        self.study = self.extract.study
        self.by = require(self.person, Act.REQUEST_EXTRACT, self.study)

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        sealed = services.sealed_file(self.extract)
        response = HttpResponse(sealed, content_type="application/octet-stream")
        name = f"{self.extract.study.code}-extract-{pk}.age"
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return response
