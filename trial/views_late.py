"""The page for a randomization that was made on paper while the system was down."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from enrolment.models import Subject
from enrolment.pages import Signing, SubjectAct
from enrolment.records import screening_record
from iwrs.forms import PortalForm, reason_field
from iwrs.permissions import Act
from iwrs.signatures import Record
from iwrs.signatures.forms import WallClockForm
from trial.late import LONGEST, LONGEST_ON_PAPER, Late
from trial.services import randomize
from trial.views import answers_as_read


class LateForm(WallClockForm):
    """When and with which kit the paper randomized, and why it is entered late."""

    occurred_at = forms.DateTimeField(
        label="When was the subject randomized on paper?",
        help_text=f"Day and time by the clock of the centre, at most {LONGEST.days} days ago, "
        f"{LONGEST_ON_PAPER.days} with a paper number.",
        input_formats=["%Y-%m-%dT%H:%M"],
        widget=forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local"}),
        error_messages={
            "required": "Give day and time.",
            "invalid": "Give day and time as year-month-dayThour:minute, for example "
            "2011-02-11T09:30.",
        },
    )
    paper_number = forms.CharField(
        label="Paper number",
        help_text="As the emergency holder told it, for example 7K3M-Q9TX. Write none when no "
        "number was told.",
        required=False,
        max_length=20,
        widget=forms.TextInput(
            attrs={"autocomplete": "off", "autocapitalize": "characters", "class": "short"}
        ),
    )
    paper_kit = forms.CharField(
        label="Number of the kit that the paper gave",
        help_text="Seven digits. Leave it empty when no kit was given.",
        required=False,
        max_length=9,
        widget=forms.TextInput(attrs={"inputmode": "numeric", "class": "short"}),
    )
    late_reason = reason_field("Why is it entered late?", longest=2000)

    def clean_paper_kit(self) -> str:
        """Spaces between the groups of digits are how people read a number."""
        return str(self.cleaned_data["paper_kit"]).replace(" ", "")

    def clean(self) -> dict[str, Any]:
        typed: dict[str, Any] = super().clean() or self.cleaned_data
        if wall := typed.get("occurred_at"):
            typed["occurred_at"] = self.moment("occurred_at", wall.replace(tzinfo=None))
        return typed


class RandomizeLate(Signing, SubjectAct):
    """Enter, with a signature, that a subject was randomized on paper."""

    act = Act.RANDOMIZE
    template_name = "trial/randomize_late.html"
    heading = "Enter a randomization made on paper"
    explain = (
        "Only for a subject who was randomized while the system was down. Enter such subjects in "
        "the order in which they were randomized. The subject takes the next place of the list, "
        "and the kit of that place. A paper number that is not of the next place is refused, and "
        "nothing is saved. If the paper gave another kit, this is recorded for the study's staff. "
        "It cannot be undone."
    )
    submit = "Sign and enter"
    grave = True
    meaning = "This subject was randomized on paper at the time given"

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if self.subject.status == Subject.Status.RANDOMIZED:
            return redirect("randomized", pk=self.subject.pk)
        return super().get(request, **kwargs)

    def form(self, typed: Any = None) -> PortalForm:
        return LateForm(self.subject.centre.time_zone, typed)

    def record(self) -> Record:
        return screening_record(self.subject)

    def context(self) -> dict[str, Any]:
        answers = answers_as_read(self.subject, self.subject.study.definition)
        return {"subject": self.subject, "answers": answers}

    def perform(self, form: PortalForm) -> HttpResponse:
        typed = form.cleaned_data
        late = Late(
            typed["occurred_at"],
            typed["late_reason"],
            typed["paper_kit"],
            typed["paper_number"],
        )
        done = randomize(self.subject, by=self.by, signature=self.sign(form), late=late)
        again = "" if done.first_time else "?again=1"
        return redirect(reverse("randomized", args=[self.subject.pk]) + again)
