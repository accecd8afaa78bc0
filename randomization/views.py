"""The pages of room 2: break one code, in two steps, and see the treatment once."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters

from enrolment.access import require, subjects_for
from enrolment.pages import Page, Signing, SubjectAct
from iwrs.forms import PortalForm
from iwrs.permissions import Act
from iwrs.signatures import Record
from randomization.forms import CodeBreakForm
from randomization.models import CodeBreakRequest
from randomization.reasons import REASONS
from randomization.records import subject_record
from randomization.services import request_code_break, reveal_code

MEANING = "I ask to see the treatment of this subject"


@method_decorator(sensitive_post_parameters(), name="dispatch")
class AskCodeBreak(Signing, SubjectAct):
    """Step one: a signed request, committed and counted before anything can be shown."""

    act = Act.BREAK_CODE
    template_name = "randomization/code_break.html"
    heading = "Break the code of one subject"
    submit = "Sign the request"
    grave = True
    meaning = MEANING

    def form(self, typed: Any = None) -> PortalForm:
        return CodeBreakForm(self.subject, typed)

    def perform(self, form: PortalForm) -> HttpResponse:
        request = request_code_break(
            self.subject,
            by=self.by,
            reason=form.cleaned_data["reason"],
            explanation=form.cleaned_data["explanation"],
            signature=self.sign(form),
        )
        return redirect("code-break", pk=request.pk)

    def record(self) -> Record:
        return subject_record(self.subject)


class ShowCode(Page):
    """Step two: read the request back (GET), then see the treatment once (POST).

    The treatment is in this one answer and nowhere else: no redirect, message, session or log.
    """

    sensitive = "a code break"
    asked: CodeBreakRequest

    def find(self, **kwargs: Any) -> None:
        within = CodeBreakRequest.objects.filter(
            subject__in=subjects_for(self.person, Act.BREAK_CODE),
            requested_by=str(self.person),
        )
        self.asked = get_object_or_404(
            within.select_related("subject__centre__study", "subject__study"), pk=kwargs["pk"]
        )
        self.subject = self.asked.subject
        self.by = require(self.person, Act.BREAK_CODE, self.subject.centre)

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        if self.asked.revealed_at:
            return redirect(reverse("subject", args=[self.asked.subject_id]))
        return self._page("randomization/read_back.html")

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        labels = {arm.code: arm.label for arm in self.asked.subject.study.definition.arms}
        arm = reveal_code(self.asked, by=self.by)
        # `get`: the text of a KeyError would carry the arm into the log.
        return self._page("randomization/treatment.html", treatment=labels.get(arm, arm))

    def _page(self, template: str, **more: str) -> HttpResponse:
        subject = self.asked.subject
        context = {
            "asked": self.asked,
            "asked_by": self.asked.requested_by,
            "subject": subject,
            "centre": subject.centre,
            "number": subject.number,
            "reason": REASONS.get(self.asked.reason, self.asked.reason),
            "back": reverse("subject", args=[subject.pk]),
        }
        return shown_once(self.request, template, context | more)


def shown_once(request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
    """A page that no browser and no cache keeps."""
    response = render(request, template, context)
    response.headers["Cache-Control"] = "no-store, private"
    response.headers["Pragma"] = "no-cache"
    return response
