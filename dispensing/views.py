"""The pages of room 3: assign a kit, hand it over, first dose, dose levels, stop a drug."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.urls import reverse

from dispensing import services
from dispensing.doses import confirm_reduction, dose_levels, next_level, reduce_dose
from dispensing.forms import FirstDoseForm, HandOverForm, ReductionForm, StopForm
from dispensing.models import Dispensation, DoseReduction
from dispensing.records import doses_record, reduction_record
from enrolment.access import subjects_for
from enrolment.pages import Signing, SubjectAct
from iwrs import clock
from iwrs.actors import CLIENT
from iwrs.definition import DoseLevel, Drug
from iwrs.forms import PortalForm
from iwrs.permissions import Act
from iwrs.problems import Problem
from iwrs.signatures import Record


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


class ReduceDose(Signing, SubjectAct):
    """One level down, in the order of the study. Both arms: the tablets look alike."""

    act = Act.REDUCE_DOSE
    template_name = "dispensing/reduce_dose.html"
    form_class = ReductionForm
    heading = "Reduce the dose"
    submit = "Sign and reduce the dose"
    meaning = "I reduce the dose of this subject"
    drug: Drug
    following: DoseLevel | None

    def find(self, **kwargs: Any) -> None:
        super().find(**kwargs)
        drugs = {each.key: each for each in self.subject.study.definition.drugs}
        if kwargs["drug"] not in drugs or not dose_levels(self.subject, kwargs["drug"]):
            raise Http404
        self.drug = drugs[kwargs["drug"]]
        self.following = next_level(self.subject, self.drug.key)

    def record(self) -> Record:
        return doses_record(self.subject)

    def context(self) -> dict[str, Any]:
        levels = dose_levels(self.subject, self.drug.key)
        at = levels.index(self.following) - 1 if self.following else len(levels) - 1
        return {
            "subject": self.subject,
            "drug": self.drug,
            "present": levels[at],
            "following": self.following,
        }

    def perform(self, form: PortalForm) -> HttpResponse:
        if self.following is None:
            raise Problem(
                code="lowest_dose",
                title="This is the lowest dose level of the study.",
                action="The drug can be stopped. Nothing was saved.",
            )
        reduce_dose(
            self.subject,
            self.following.key,
            by=self.by,
            on=form.cleaned_data["on"],
            reason=form.cleaned_data["reason"],
            signature=self.sign(form),
        )
        return self.done(f"The dose is reduced to {self.following.label}.")


class ConfirmReduction(Signing, SubjectAct):
    """What an EDC system recorded, to read and to sign. A second signature is refused."""

    act = Act.CONFIRM
    template_name = "dispensing/confirm_reduction.html"
    heading = "Confirm the dose reduction"
    explain = (
        "An EDC system recorded this dose reduction. Compare it with your source, then sign. "
        "What is wrong is corrected under the subject's recorded facts first."
    )
    submit = "Sign the confirmation"
    meaning = "I confirm this dose reduction"
    reduction: DoseReduction

    def find(self, **kwargs: Any) -> None:
        super().find(**kwargs)
        self.reduction = get_object_or_404(
            DoseReduction.objects.filter(recorded_by__startswith=CLIENT),
            subject=self.subject,
            level=kwargs["level"],
        )
        self.reduction.subject = self.subject

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if self.reduction.confirmed_at:
            return redirect(self.back())
        return super().get(request, **kwargs)

    def record(self) -> Record:
        return reduction_record(self.reduction)

    def context(self) -> dict[str, Any]:
        definition = self.subject.study.definition
        drugs = {each.key: each.label for each in definition.drugs}
        levels = {each.key: each.label for each in definition.dose_levels}
        drug, level = self.reduction.drug, self.reduction.level
        return {
            "subject": self.subject,
            "reduction": self.reduction,
            # A later study file may have dropped them.
            "drug": drugs.get(drug, drug),
            "level": levels.get(level, level),
        }

    def perform(self, form: PortalForm) -> HttpResponse:
        confirm_reduction(self.reduction, by=self.by, signature=self.sign(form))
        return self.done("The dose reduction is confirmed.")
