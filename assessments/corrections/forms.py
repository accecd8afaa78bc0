"""The form of one correction: the fact's own questions, why, and the signature."""

from typing import Any

from django import forms

from assessments.corrections.facts import Fact
from iwrs.forms import reason_field
from iwrs.signatures.forms import SignedForm


class CorrectionForm(SignedForm):
    """The questions of a fact with the answers as they stand."""

    def __init__(self, fact: Fact, row: Any, typed: Any = None) -> None:
        super().__init__(typed, initial=fact.values(row))
        self.fields |= fact.fields(row)
        self.asked = [*fact.fields(row)]
        if fact.in_error:
            self.fields["in_error"] = forms.BooleanField(
                label="Recorded in error: this did not happen",
                help_text="The record is kept and no longer counts. The answers above are ignored.",
                required=False,
            )
        self.fields["why"] = reason_field("What was wrong, and how do you know?", longest=2000)

    def clean(self) -> dict[str, Any]:
        """What is taken back need not be answered."""
        typed: dict[str, Any] = super().clean() or self.cleaned_data
        if typed.get("in_error"):
            for name in self.asked:
                self.errors.pop(name, None)
        return typed

    @property
    def values(self) -> dict[str, Any]:
        """The fact's fields as typed."""
        return {name: self.cleaned_data[name] for name in self.asked if name in self.cleaned_data}
