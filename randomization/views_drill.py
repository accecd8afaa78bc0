"""The pages of a drill: the same steps, form and texts as in `randomization.views`."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters

from enrolment.access import centres_for, require
from enrolment.models import CodeBreakDrill
from enrolment.pages import CentreAct, Page, Signing
from iwrs.forms import PortalForm
from iwrs.models import Study
from iwrs.permissions import Act
from iwrs.signatures import Record
from randomization.drills import TREATMENT, Dummy, request_drill, show_drill, start_drill
from randomization.forms import CodeBreakForm
from randomization.reasons import REASONS
from randomization.records import drill_record
from randomization.views import AskCodeBreak, shown_once

MEANING = "I practise asking for the treatment of a subject"


class StartDrill(CentreAct):
    """What a drill is, and the button that starts its clock."""

    act = Act.PRACTISE_CODE_BREAK
    template_name = "randomization/drill.html"
    heading = "Practise a code break"
    submit = "Start the drill"

    def perform(self, form: PortalForm) -> HttpResponse:
        drill = start_drill(self.centre, by=self.by)
        return redirect("request-drill", pk=drill.pk)

    def context(self) -> dict[str, Any]:
        return super().context() | {"dummy": Dummy(self.centre)}


class _OwnDrill(Page):
    """A step of the drill that the signed-in person has started."""

    drill: CodeBreakDrill

    def find(self, **kwargs: Any) -> None:
        within = CodeBreakDrill.objects.filter(
            centre__in=centres_for(self.person, Act.PRACTISE_CODE_BREAK), done_by=str(self.person)
        )
        self.drill = get_object_or_404(within.select_related("centre__study"), pk=kwargs["pk"])
        self.centre = self.drill.centre
        self.by = require(self.person, Act.PRACTISE_CODE_BREAK, self.centre)

    def back(self) -> str:
        return reverse("centre", args=[self.centre.pk])

    def context(self) -> dict[str, Any]:
        return {
            "centre": self.centre,
            "dummy": Dummy(self.centre),
            "drill": self.drill,
        }


@method_decorator(sensitive_post_parameters(), name="dispatch")
class RequestDrill(Signing, _OwnDrill):
    """Step one, as for a real subject."""

    act = Act.PRACTISE_CODE_BREAK
    template_name = "randomization/drill_request.html"
    heading = f"Drill: {AskCodeBreak.heading}"
    submit = AskCodeBreak.submit
    grave = True
    meaning = MEANING

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if self.drill.requested_at:
            return redirect("show-drill", pk=self.drill.pk)
        return super().get(request, **kwargs)

    def form(self, typed: Any = None) -> PortalForm:
        return CodeBreakForm(Dummy(self.centre), typed)

    def perform(self, form: PortalForm) -> HttpResponse:
        request_drill(
            self.drill,
            by=self.by,
            reason=form.cleaned_data["reason"],
            explanation=form.cleaned_data["explanation"],
            signature=self.sign(form),
        )
        return redirect("show-drill", pk=self.drill.pk)

    def record(self) -> Record:
        return drill_record(self.drill)

    def in_study(self) -> Study:
        return self.centre.study


class ShowDrill(_OwnDrill):
    """Step two: read the request back (GET), then see the made-up treatment once (POST)."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        if self.drill.finished_at:
            return redirect(self.back())
        if self.drill.requested_at is None:
            return redirect("request-drill", pk=self.drill.pk)
        return self._page("randomization/read_back.html")

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        self.drill = show_drill(self.drill, by=self.by)
        return self._page("randomization/treatment.html", treatment=TREATMENT)

    def _page(self, template: str, **more: str) -> HttpResponse:
        context = {
            "asked": self.drill,
            "number": Dummy(self.centre).number,
            "asked_by": self.drill.done_by,
            "reason": REASONS.get(self.drill.reason, self.drill.reason),
            "back": self.back(),
        }
        return shown_once(self.request, template, self.context() | context | more)
