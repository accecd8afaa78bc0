"""Pages of the unblinded statistician: name one subject's arm, where the study allows it."""

from typing import Any, ClassVar

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from enrolment.access import require, studies_for
from enrolment.models import Subject
from enrolment.pages import Page, Signing, StudyAct
from iwrs.forms import PortalForm
from iwrs.models import Study
from iwrs.permissions import Act
from iwrs.signatures import Record
from iwrs.signatures.services import signatures_of
from randomization.unblinded.forced import force_allocation, forced, waiting
from randomization.unblinded.forms import ForceForm
from randomization.unblinded.records import forced_record, waiting_record

SHOWN = 200
MEANING = "I name this subject's arm, and take responsibility for it"


class Forced(Page):
    """Who waits, and every arm that was named."""

    sensitive: ClassVar[str] = "forced allocations"
    study: Study

    def find(self, **kwargs: Any) -> None:
        self.study = get_object_or_404(studies_for(self.person), code=kwargs["code"])
        self.by = require(self.person, Act.FORCE_ALLOCATION, self.study)
        require_allowed(self.study)

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        named = list(forced(self.study)[:SHOWN])
        context = {
            "study": self.study,
            "waiting": waiting(self.study)[:SHOWN],
            "forced": named,
            "signatures": signatures_of(forced_record(each) for each in named),
        }
        return render(request, "randomization/unblinded/forced.html", context)


class ForceAllocation(Signing, StudyAct):
    """Name the arm of one subject who waits."""

    act = Act.FORCE_ALLOCATION
    heading = "Name a subject's arm"
    submit = "Sign and name the arm"
    grave: ClassVar[bool] = True
    meaning = MEANING
    sensitive: ClassVar[str] = "forced allocations"
    subject_who_waits: Subject

    def find(self, **kwargs: Any) -> None:
        super().find(**kwargs)
        require_allowed(self.study)
        rows = waiting(self.study).select_related("study")
        self.subject_who_waits = get_object_or_404(rows, pk=kwargs["pk"])
        self.explain = (
            f"Subject {self.subject_who_waits.number}, stratum "
            f"{self.subject_who_waits.stratum_key}. The centre randomizes the subject as any other "
            "and learns nothing of this. The next place of the stratum is used up."
        )

    def form(self, typed: Any = None) -> PortalForm:
        return ForceForm(self.study.definition, typed)

    def record(self) -> Record:
        return waiting_record(self.subject_who_waits)

    def back(self) -> str:
        return reverse("forced-allocations", args=[self.study.code])

    def perform(self, form: PortalForm) -> HttpResponse:
        named = form.cleaned_data
        force_allocation(
            self.subject_who_waits,
            named["arm"],
            by=self.by,
            why=named["why"],
            signature=self.sign(form),
        )
        return self.done(f"The arm of subject {self.subject_who_waits.number} is named.")


def require_allowed(study: Study) -> None:
    """Raise 404 where the study file does not allow it: then there is no such page."""
    if not study.definition.randomization.forced_allocation:
        raise Http404
