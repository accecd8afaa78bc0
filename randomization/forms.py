"""The form of room 2's one door: the code break."""

from typing import Any

from django import forms

from enrolment.models import Subject
from iwrs.forms import choice_field, reason_field
from iwrs.signatures.forms import SignedForm
from randomization.services import REASONS


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

    def __init__(self, subject: Subject, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.subject = subject

    def clean_read_back(self) -> str:
        typed = str(self.cleaned_data["read_back"]).strip()
        if typed != self.subject.number:
            raise forms.ValidationError(
                "This is not the number of this subject. Check that you have the right subject."
            )
        return typed
