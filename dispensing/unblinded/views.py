"""Pages of the supply manager: import kits, stock a centre, release the gate."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404

from dispensing.unblinded.calls import centre_calls
from dispensing.unblinded.forms import ImportForm, ReleaseForm, StockForm
from dispensing.unblinded.models import CentreCalls
from dispensing.unblinded.services import import_kits, release_centre_calls, stock_centre
from enrolment.models import Centre
from enrolment.pages import Signing, StudyAct
from iwrs.forms import PortalForm
from iwrs.permissions import Act
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Record
from iwrs.signatures.services import signatures_of
from randomization.unblinded.records import calls_record, release_record
from randomization.unblinded.services import releases_of
from randomization.unblinded.views import RELEASE_MEANING


class ImportKits(StudyAct):
    """Take the vendor's file. A refused file keeps the page and names every row."""

    act = Act.MANAGE_STOCK
    template_name = "dispensing/unblinded/import_kits.html"
    heading = "Import kits"
    explain = "A file is imported whole or not at all. Every lot must have kits of every arm."
    submit = "Import"

    def form(self, typed: Any = None) -> PortalForm:
        return ImportForm(typed, self.request.FILES if typed is not None else None)

    def perform(self, form: PortalForm) -> HttpResponse:
        file = form.cleaned_data["file"]
        try:
            done = import_kits(self.study, file.read(), file_name=file.name, by=self.by)
        except Invalid as problem:
            self.faults = problem.errors
            raise Problem(
                code=problem.code,
                title=problem.title,
                action=problem.action,
                status=problem.status,
            ) from None
        return self.done(f"{done.kits} kits are imported.")

    def context(self) -> dict[str, Any]:
        return super().context() | {"faults": getattr(self, "faults", {})}


class StockCentre(StudyAct):
    """Send one cover cohort to a centre, before the supply run would."""

    act = Act.MANAGE_STOCK
    heading = "Send cover to a centre"
    explain = (
        "One cohort has as many kits of every arm as it serves randomizations. "
        "Supply runs send cohorts by themselves; send one here before a centre's first run, "
        "or when you expect many randomizations."
    )
    submit = "Send"

    def form(self, typed: Any = None) -> PortalForm:
        return StockForm(self.study, typed)

    def perform(self, form: PortalForm) -> HttpResponse:
        centre = get_object_or_404(Centre, study=self.study, pk=form.cleaned_data["centre"])
        cohort = stock_centre(centre, by=self.by, size=form.cleaned_data["size"])
        return self.done(
            f"A cohort for {cohort.size} randomizations of lot {cohort.lot} is at centre {centre}."
        )


class ReleaseKitCalls(Signing, StudyAct):
    """Let kits be assigned at a centre again after an alarm."""

    act = Act.MANAGE_STOCK
    form_class = ReleaseForm
    heading = "Release kit calls"
    template_name = "randomization/unblinded/release.html"
    submit = "Sign and release"
    meaning = RELEASE_MEANING
    place: Centre

    def find(self, **kwargs: Any) -> None:
        super().find(**kwargs)
        self.place = get_object_or_404(Centre, study=self.study, pk=kwargs["pk"])
        self.explain = (
            f"Centre {self.place}: calls for a kit were begun and not completed. "
            "Find out why before you let kits be assigned again."
        )

    def record(self) -> Record:
        made = CentreCalls.objects.filter(centre=self.place).first()
        self.calls = centre_calls(self.place, made)
        return calls_record("centre", self.place.pk, str(self.place), self.calls)

    def context(self) -> dict[str, Any]:
        earlier = releases_of(self.study, "centre", self.place.pk)
        signed = signatures_of(release_record(each) for each in earlier)
        return super().context() | {
            "calls": self.calls,
            "earlier": earlier,
            "signatures": signed,
        }

    def perform(self, form: PortalForm) -> HttpResponse:
        why = form.cleaned_data["why"]
        release_centre_calls(self.place, by=self.by, why=why, signature=self.sign(form))
        return self.done(f"Kits can be assigned at centre {self.place} again.")
