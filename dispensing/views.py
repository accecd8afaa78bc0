"""The pages of room 3: assign a kit, hand it over, first dose, stop a drug."""

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse

from dispensing import services
from dispensing.forms import FirstDoseForm, HandOverForm, StopForm
from dispensing.models import Dispensation
from enrolment.access import subjects_for
from enrolment.pages import SubjectAct
from iwrs import clock
from iwrs.definition import Drug
from iwrs.forms import PortalForm
from iwrs.permissions import Act


class DispensationAct(SubjectAct):
    """An act on one planned supply of one subject."""

    act = Act.DISPENSE
    template_name = "dispensing/dispensation.html"
    dispensation: Dispensation

    def find(self, **kwargs: Any) -> None:
        within = Dispensation.objects.filter(subject__in=subjects_for(self.person))
        self.dispensation = get_object_or_404(
            within.select_related("subject__centre__study", "subject__study", "kit__lot"),
            pk=kwargs["pk"],
        )
        self.found(self.dispensation.subject)

    def context(self) -> dict[str, Any]:
        return {"subject": self.subject, "dispensation": self.dispensation}


class AssignKit(DispensationAct):
    heading = "Assign a kit"
    explain = "The system gives the number of the kit. Take exactly this kit from the shelf."
    submit = "Assign a kit"

    def perform(self, form: PortalForm) -> HttpResponse:
        kit = services.dispense(self.dispensation, by=self.by)
        return self.done(
            f"Kit {kit.grouped} is assigned. Check the number before you hand it over.",
            reverse("hand-over", args=[self.dispensation.pk]),
        )


class HandOver(DispensationAct):
    heading = "Record that the kit was handed over"
    submit = "Kit was handed over"

    def form(self, typed: Any = None) -> PortalForm:
        today = clock.today(self.subject.centre.time_zone)
        return HandOverForm(typed, initial={"on": today})

    def perform(self, form: PortalForm) -> HttpResponse:
        services.hand_over(self.dispensation, by=self.by, on=form.cleaned_data["on"])
        return self.done("The hand-over is recorded.")


class FirstDose(SubjectAct):
    act = Act.DISPENSE
    form_class = FirstDoseForm
    heading = "Record the first dose"
    explain = "The day on which the subject first took the blinded drug."

    def perform(self, form: PortalForm) -> HttpResponse:
        services.record_first_dose(self.subject, by=self.by, on=form.cleaned_data["on"])
        return self.done("The first dose is recorded.")


class StopDrug(SubjectAct):
    """Each drug has its own stop; the six-weekly visits go on."""

    act = Act.RECORD_COURSE
    submit = "Record the stop"
    explain = "For good, not an interruption. The subject stays in the study and keeps the visits."
    grave = True
    drug: Drug

    def find(self, **kwargs: Any) -> None:
        super().find(**kwargs)
        drugs = {each.key: each for each in self.subject.study.definition.drugs}
        if kwargs["drug"] not in drugs:
            raise Http404
        self.drug = drugs[kwargs["drug"]]

    @property
    def heading(self) -> str:  # type: ignore[override]
        return f"Stop {self.drug.label}"

    def form(self, typed: Any = None) -> PortalForm:
        return StopForm(self.drug, typed)

    def perform(self, form: PortalForm) -> HttpResponse:
        services.stop_drug(self.subject, self.drug.key, by=self.by, **form.cleaned_data)
        return self.done(f"The stop of {self.drug.label} is recorded.")
