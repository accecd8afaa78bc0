"""The page on which the safety physician records that a sealed pack was opened."""

from typing import Any

from django.http import HttpResponse
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.views.decorators.debug import sensitive_post_parameters

from enrolment.models import Subject
from enrolment.pages import CentreAct, Signing
from iwrs.forms import PortalForm
from iwrs.permissions import Act
from iwrs.signatures import Record
from randomization.forms import OpeningForm
from randomization.openings import Opening, record_opening
from randomization.records import openings_record


@method_decorator(sensitive_post_parameters(), name="dispatch")
class RecordOpening(Signing, CentreAct):
    """Afterwards, when the system is back: who read whose treatment, when and why."""

    act = Act.RECORD_OPENING
    heading = "Record an opening of the sealed pack"
    explain = (
        "Record here what was read in the pack of this centre while the system was down. "
        "Each subject counts as unblinded from then on. Do not write the treatment."
    )
    submit = "Sign and record"
    grave = True
    meaning = "The sealed pack was opened for these subjects, as recorded here"

    def form(self, typed: Any = None) -> PortalForm:
        return OpeningForm(self._randomized(), self.centre.time_zone, typed)

    def record(self) -> Record:
        return openings_record(self.centre)

    def back(self) -> str:
        return reverse("code-breaks", args=[self.centre.study.code])

    def perform(self, form: PortalForm) -> HttpResponse:
        typed = form.cleaned_data
        opening = Opening(
            typed["opened_by"], typed["moment"], typed["reason"], typed["explanation"]
        )
        chosen = [each for each in self._randomized() if each.number in typed["subjects"]]
        record_opening(self.centre, chosen, opening, by=self.by, signature=self.sign(form))
        return self.done("The opening is recorded. The study manager gets a letter.")

    def _randomized(self) -> list[Subject]:
        return list(self.centre.subjects.filter(randomized_at__isnull=False))
