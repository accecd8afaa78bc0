"""The page on which an investigator confirms a randomization that an EDC system recorded."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect

from enrolment.pages import Signing, SubjectAct
from iwrs.forms import PortalForm
from iwrs.permissions import Act
from iwrs.signatures import Record
from iwrs.signatures.reported import is_reported
from randomization.models import Randomization
from trial.confirming import confirm_randomization, randomized_record
from trial.views import answers_as_read


class ConfirmRandomization(Signing, SubjectAct):
    """What was recorded, to read and to sign. A second signature is refused."""

    act = Act.CONFIRM
    template_name = "trial/confirm_randomization.html"
    heading = "Confirm the randomization"
    explain = (
        "An EDC system recorded this randomization. Compare it with your source, then sign. "
        "A wrong day of consent or baseline answer is corrected under the subject's recorded facts "
        "first. A wrong stratum stays as it was used: the right one is recorded on the subject's "
        "page, before or after this."
    )
    submit = "Sign the confirmation"
    meaning = "I confirm that this randomization was made as recorded"
    made: Randomization

    def find(self, **kwargs: Any) -> None:
        super().find(**kwargs)
        rows = Randomization.objects.select_related("late_entry")
        made = rows.filter(subject=self.subject).first()
        if made is None or not is_reported(made.by):
            raise Http404
        self.made = made
        self.made.subject = self.subject

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if self.made.confirmed_at:
            return redirect(self.back())
        return super().get(request, **kwargs)

    def record(self) -> Record:
        return randomized_record(self.subject)

    def context(self) -> dict[str, Any]:
        return {
            "subject": self.subject,
            "made": self.made,
            "late": getattr(self.made, "late_entry", None),
            "answers": answers_as_read(self.subject, self.subject.study.definition),
        }

    def perform(self, form: PortalForm) -> HttpResponse:
        confirm_randomization(self.subject, by=self.by, signature=self.sign(form))
        return self.done("The randomization is confirmed.")
