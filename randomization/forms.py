"""The form of room 2's one door: the code break."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol

from django import forms

from iwrs.forms import PortalForm, choice_field, date_field, reason_field
from iwrs.signatures.forms import SignedForm, WallClockForm
from randomization.reasons import REASONS


class Numbered(Protocol):
    """Who has a subject's number: a subject, or the one of a drill who does not exist."""

    @property
    def number(self) -> str: ...


class CodeBreakForm(SignedForm):
    """Reason, explanation, the subject's number read back, and the signature."""

    reason = choice_field("Reason", REASONS.items())
    explanation = reason_field(
        "Why must the treatment be known?",
        help_text="For example the medical event and its date. No names.",
        longest=2000,
    )
    read_back = forms.CharField(
        label="Type the number of the subject",
        help_text="As on the subject's card, for example 0101-003.",
        max_length=12,
        widget=forms.TextInput(attrs={"autocomplete": "off", "class": "short"}),
        error_messages={"required": "Type the number of the subject."},
    )

    def __init__(self, subject: Numbered, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.subject = subject

    def clean_read_back(self) -> str:
        typed = str(self.cleaned_data["read_back"]).strip()
        if typed != self.subject.number:
            raise forms.ValidationError(
                "This is not the number of this subject. Check that you have the right subject."
            )
        return typed


class OpeningForm(WallClockForm):
    """Whose treatment was read in the sealed pack, by whom, when and why."""

    opened_by = forms.CharField(
        label="Who opened the pack?",
        max_length=200,
        help_text="Name and duty of the emergency holder.",
        error_messages={
            "required": "Say who opened the pack.",
            "max_length": "Write at most 200 characters.",
        },
    )
    on = date_field("On which day?", help_text="The day at the centre.")
    time = forms.TimeField(
        label="At what time?",
        help_text="As the clock at the centre showed it, for example 21:40.",
        input_formats=["%H:%M"],
        widget=forms.TimeInput(format="%H:%M", attrs={"type": "time"}),
        error_messages={
            "required": "Give the time.",
            "invalid": "Give the time as hours and minutes, for example 21:40.",
        },
    )
    reason = choice_field("Reason", REASONS.items())
    explanation = reason_field(
        "Why did the treatment have to be known before the system was back?",
        help_text="Who asked, and for which medical event. No names of subjects, no treatment.",
        longest=2000,
    )

    def __init__(
        self, subjects: Iterable[Numbered], time_zone: str, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(time_zone, *args, **kwargs)
        chosen = forms.MultipleChoiceField(
            label="Whose treatment was read?",
            help_text="The randomized subjects of this centre.",
            choices=[(each.number, each.number) for each in subjects],
            widget=forms.CheckboxSelectMultiple,
            error_messages={
                "required": "Choose the subjects whose treatment was read.",
                "invalid_choice": "Choose subjects of this list.",
            },
        )
        self.fields = {"subjects": chosen, **self.fields}

    def clean(self) -> dict[str, Any]:
        typed: dict[str, Any] = super().clean() or self.cleaned_data
        if typed.get("on") and typed.get("time"):
            wall = datetime.combine(typed["on"], typed["time"])
            typed["moment"] = self.moment("time", wall, day="on")
        return typed


class AssessmentForm(PortalForm):
    necessary = choice_field(
        "Was it necessary to break the code?", [("yes", "Yes"), ("no", "No")], in_a_row=True
    )
    impact = reason_field(
        "What follows for the subject and for the study?",
        help_text="For example: the subject stays in the study. No names.",
        longest=2000,
    )
    action = reason_field(
        "What is done?",
        help_text="For example: the centre is trained again. No names.",
        longest=2000,
    )
