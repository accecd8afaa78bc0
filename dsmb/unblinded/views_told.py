"""Pages of the unblinded statistician: accept a paper number that the system refuses."""

from typing import Any, ClassVar

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from dsmb.unblinded.told import accept_paper, accepted
from enrolment.models import Subject
from enrolment.pages import Signing, StudyAct
from iwrs.forms import PortalForm, reason_field
from iwrs.permissions import Act
from iwrs.signatures import Record
from iwrs.signatures.forms import SignedForm
from iwrs.signatures.services import signatures_of
from randomization.unblinded.forced import waiting
from randomization.unblinded.records import waiting_record

SHOWN = 200


def _log_field(label: str, help_text: str, *, length: int, **more: Any) -> forms.CharField:
    return forms.CharField(
        label=label,
        help_text=help_text,
        max_length=length,
        widget=forms.TextInput(attrs={"class": "short", "autocomplete": "off"}),
        error_messages={
            "required": f"Type the {label.lower()}.",
            "max_length": f"Write at most {length} characters.",
        },
        **more,
    )


class AcceptForm(SignedForm):
    """What the log of the desk says of one subject."""

    paper_number = _log_field("Paper number", "As in the log, for example 7K3M-Q9TX.", length=20)
    kit = _log_field(
        "Kit number in the log",
        "Leave it empty when no kit was handed out: the subject then gets the centre's next kit.",
        length=20,
        required=False,
    )
    why = reason_field(
        "What does the log show, and why was the number refused?",
        help_text="This text is kept on the unblinded side.",
    )


class PaperNumbers(StudyAct):
    """Who waits for randomization, and every number that was accepted."""

    act = Act.ACCEPT_PAPER
    sensitive: ClassVar[str] = "accepted paper numbers"

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        told = accepted(self.study, most=SHOWN)
        context = {
            "study": self.study,
            "waiting": waiting(self.study)[:SHOWN],
            "accepted": told,
            "signatures": signatures_of(each.record for each in told),
        }
        return render(request, "dsmb/unblinded/told.html", context)

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return self.http_method_not_allowed(request)


class AcceptPaper(Signing, StudyAct):
    """Accept the paper number of one subject who waits."""

    act = Act.ACCEPT_PAPER
    form_class = AcceptForm
    heading = "Accept a paper number"
    submit = "Sign and accept the number"
    grave: ClassVar[bool] = True
    meaning = "This is what the subject was told on paper, and I accept it"
    sensitive: ClassVar[str] = "accepted paper numbers"
    who: Subject

    def find(self, **kwargs: Any) -> None:
        super().find(**kwargs)
        rows = waiting(self.study).select_related("study", "centre")
        self.who = get_object_or_404(rows, pk=kwargs["pk"])
        self.explain = (
            f"Subject {self.who.number} of centre {self.who.centre.number}, stratum "
            f"{self.who.stratum_key}. The subject will have the place that was told, and its "
            "treatment. Nobody else gets it, nor a line of the centre's kits up to the told one. "
            "Then the centre enters the subject with the number. This cannot be undone."
        )

    def record(self) -> Record:
        return waiting_record(self.who)

    def back(self) -> str:
        return reverse("paper-numbers", args=[self.study.code])

    def perform(self, form: PortalForm) -> HttpResponse:
        typed = form.cleaned_data
        made = accept_paper(
            self.who,
            typed["paper_number"],
            typed["kit"],
            by=self.by,
            why=typed["why"],
            signature=self.sign(form),
        )
        return self.done(
            f"Paper number {made.paper_number} of subject {self.who.number} is accepted. Tell the "
            "centre to enter the subject with it."
        )
