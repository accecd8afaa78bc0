"""The emergency procedure of a centre, to be printed."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404

from enrolment.access import centres_for, require
from enrolment.models import Centre
from enrolment.pages import Page
from iwrs.permissions import Act
from randomization.procedure import procedure_pdf


class EmergencyProcedure(Page):
    """One page on paper, for everybody who sees the centre."""

    centre: Centre

    def find(self, **kwargs: Any) -> None:
        self.centre = get_object_or_404(centres_for(self.person), pk=kwargs["pk"])
        self.by = require(self.person, Act.SEE_CENTRES, self.centre)

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        response = HttpResponse(procedure_pdf(self.centre), content_type="application/pdf")
        name = f"{self.centre.study.code}-{self.centre.number}-in-an-emergency.pdf"
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return response
