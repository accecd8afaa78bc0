"""The forms of room 3."""

from typing import Any

from iwrs.definition import Drug
from iwrs.forms import PortalForm, choice_field, date_field, reason_field
from iwrs.signatures.forms import SignedForm


class HandOverForm(PortalForm):
    on = date_field("Day on which the subject got the kit")


class FirstDoseForm(PortalForm):
    on = date_field("Day of the first dose")


class StopForm(PortalForm):
    """Stop one drug, with the reasons that the study allows for it."""

    def __init__(self, drug: Drug, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["on"] = date_field("Day of the stop")
        self.fields["reason"] = choice_field(
            "Reason", [(each.key, each.label) for each in drug.stop_reasons]
        )


class ReductionForm(SignedForm):
    on = date_field("First day at the new dose")
    reason = reason_field("Why is the dose reduced?", help_text="For example the adverse event.")
