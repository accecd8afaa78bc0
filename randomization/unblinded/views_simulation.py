"""Pages of the unblinded statistician: ask for a simulation, follow it, read and copy it."""

from typing import Any, ClassVar

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from enrolment.access import require, studies_for
from enrolment.pages import Page, StudyAct
from iwrs.forms import PortalForm
from iwrs.models import Study
from iwrs.permissions import Act
from randomization.simulation.plan import Plan
from randomization.simulation.report import document
from randomization.unblinded.forms_simulation import SimulationForm
from randomization.unblinded.models_simulation import SimulationRun
from randomization.unblinded.simulation_plan import Asked, plan_of
from randomization.unblinded.simulation_report import run_pdf
from randomization.unblinded.simulations import kits, outcomes, progress, request_simulation

SHOWN = 50  # runs in the list


class _Runs(Page):
    act = Act.MANAGE_LIST
    study: Study

    def find(self, **kwargs: Any) -> None:
        self.study = get_object_or_404(studies_for(self.request.user), code=kwargs["code"])
        self.by = require(self.request.user, self.act, self.study)


class Simulations(_Runs):
    """The runs of a study, newest first."""

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        runs = SimulationRun.objects.filter(study=self.study).order_by("-number")[:SHOWN]
        context = {"study": self.study, "runs": runs}
        return render(request, "randomization/unblinded/simulations.html", context)


class AskSimulation(StudyAct):
    """Ask for a run. The workers begin at once."""

    act = Act.MANAGE_LIST
    heading = "Simulate randomization methods"
    explain = (
        "Each method randomizes the same simulated subjects. No list is made, and nobody's "
        "treatment is involved. What you compare stays on this side."
    )
    submit = "Simulate"

    def form(self, typed: Any = None) -> PortalForm:
        return SimulationForm(self.study, typed)

    def perform(self, form: PortalForm) -> HttpResponse:
        typed = form.cleaned_data
        asked = Asked(typed["methods"], typed["accrual"], typed["subjects"])
        run = request_simulation(
            self.study,
            plan_of(self.study, asked),
            trials=typed["trials"],
            seed=typed["seed"],
            by=self.by,
        )
        there = reverse("simulation", args=[self.study.code, run.number])
        return self.done(f"Simulation {run.number} is asked for.", there)

    def back(self) -> str:
        return reverse("simulations", args=[self.study.code])


class _Run(_Runs):
    run: SimulationRun

    def find(self, **kwargs: Any) -> None:
        super().find(**kwargs)
        mine = SimulationRun.objects.filter(study=self.study)
        self.run = get_object_or_404(mine, number=kwargs["number"])


class Simulation(_Run):
    """How far a run is, and what is known so far."""

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        now = progress(self.run)
        context = {"study": self.study, "run": self.run, "progress": now}
        if request.headers.get("HX-Request"):
            response = render(request, "randomization/unblinded/simulation_progress.html", context)
            if now.finished:
                response.headers["HX-Refresh"] = "true"
            return response
        plan, found = Plan.from_json(self.run.plan), outcomes(self.run)
        context |= document(plan, found, kits(self.run)) | {"any": bool(found)}
        return render(request, "randomization/unblinded/simulation.html", context)


class SimulationPdf(_Run):
    """The comparison on paper."""

    sensitive: ClassVar[str] = "a simulation of randomization methods"
    copied: ClassVar[bool] = True

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        self.about = f"run {self.run.number}"
        if not progress(self.run).done:
            raise Http404("Nothing is done yet.")
        response = HttpResponse(run_pdf(self.run), content_type="application/pdf")
        name = f"{self.study.code}-simulation-{self.run.number}.pdf"
        response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return response
