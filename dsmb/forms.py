"""The forms of room 5."""

from typing import Any

from django import forms

from iwrs.definition import StudyDefinition
from iwrs.forms import PortalForm, choice_field, date_field, reason_field
from iwrs.signatures.forms import SignedForm


class CutForm(PortalForm):
    on = date_field("Day of the cut", help_text="What happened up to this day is analysed.")
    reason = reason_field("Reason", help_text="For example the planned number of events.")


class ExtractForm(SignedForm):
    """Which data cut, for whom, and why."""

    def __init__(
        self,
        definition: StudyDefinition,
        cuts: list[tuple[str, str]],
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.fields["cut"] = forms.ChoiceField(
            label="Data cut",
            choices=cuts,
            error_messages={"required": "Make a data cut first."},
        )
        self.fields["recipient"] = choice_field(
            "Recipient", [(each.key, each.label) for each in definition.recipients]
        )
        self.fields["reason"] = reason_field("Reason", help_text="What the extract is for.")
