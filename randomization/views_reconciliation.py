"""Pages for the study manager and the safety physician: all code breaks, and their assessment."""

from typing import Any

from django.core.paginator import Paginator
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from enrolment.access import allowed
from enrolment.models import CodeBreakDrill
from enrolment.pages import StudyAct
from iwrs.forms import PortalForm
from iwrs.permissions import Act
from randomization import reconciliation
from randomization.forms import AssessmentForm
from randomization.models import CodeBreakRequest
from randomization.reasons import REASONS

A_PAGE = 25


class CodeBreaks(StudyAct):
    """Requests, answers, refusals and drills, beside the database's own counters."""

    act = Act.SEE_CODE_BREAKS
    sensitive = "the list of code breaks"

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        breaks = reconciliation.code_breaks_of(self.study)
        drills = CodeBreakDrill.objects.filter(centre__study=self.study)
        context = {
            "study": self.study,
            "reasons": REASONS,
            "may_see_packs": allowed(self.person, Act.SEE_PACKS, self.study),
            "may_assess": allowed(self.person, Act.ASSESS_CODE_BREAK, self.study),
            "counted": reconciliation.counted(self.study),
            "open": [_said(each) for each in reconciliation.not_assessed(breaks)],
            "page": self._paged("page", breaks, _said),
            "refusals": self._paged(
                "refusals",
                self.study.code_break_refusals.select_related("subject").order_by("-pk"),
            ),
            "drills": self._paged(
                "drills",
                drills.select_related("centre").order_by(F("finished_at").desc(nulls_last=True)),
            ),
        }
        return render(request, "randomization/code_breaks.html", context)

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return self.http_method_not_allowed(request)

    def _paged(self, name: str, rows: Any, said: Any = None) -> Any:
        page = Paginator(rows, A_PAGE).get_page(self.request.GET.get(name))
        if said is not None:
            page.object_list = [said(each) for each in page.object_list]
        return page


def _said(each: CodeBreakRequest) -> tuple[CodeBreakRequest, str]:
    return each, REASONS.get(each.reason, each.reason)


class Assess(StudyAct):
    """Was the code break necessary, what follows, what is done: once for each."""

    act = Act.ASSESS_CODE_BREAK
    form_class = AssessmentForm
    template_name = "randomization/assess.html"
    heading = "Assess a code break"
    explain = "You do not need the treatment for this, and you must not ask for it."
    submit = "Save the assessment"
    asked: CodeBreakRequest

    def find(self, **kwargs: Any) -> None:
        super().find(**kwargs)
        rows = self.study.code_breaks.select_related("subject__centre")
        self.asked = get_object_or_404(rows, pk=kwargs["pk"])

    def back(self) -> str:
        return reverse("code-breaks", args=[self.study.code])

    def context(self) -> dict[str, Any]:
        return {
            "study": self.study,
            "subject": self.asked.subject,
            "asked": self.asked,
            "reason": REASONS.get(self.asked.reason, self.asked.reason),
        }

    def perform(self, form: PortalForm) -> HttpResponse:
        reconciliation.assess(
            self.asked,
            by=self.by,
            necessary=form.cleaned_data["necessary"] == "yes",
            impact=form.cleaned_data["impact"],
            action=form.cleaned_data["action"],
        )
        return self.done("The assessment is recorded.")
