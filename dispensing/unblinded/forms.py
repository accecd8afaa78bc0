"""Forms of the supply manager."""

from typing import Any

from django import forms

from dispensing.unblinded.kits_csv import MAX_BYTES
from enrolment.models import Centre
from iwrs.forms import PortalForm, reason_field
from iwrs.models import Study
from iwrs.signatures.forms import SignedForm


class ImportForm(PortalForm):
    file = forms.FileField(
        label="File of kits",
        help_text="CSV in UTF-8 with the columns kit_number, content, lot, expiry. "
        f"At most {MAX_BYTES // 2**20} MiB.",
        max_length=200,
        allow_empty_file=True,  # the service says what is wrong with an empty file
        widget=forms.ClearableFileInput(attrs={"accept": ".csv,text/csv"}),
        error_messages={
            "required": "Choose the file of the packaging vendor.",
            "max_length": "The file's name is too long. Use at most 200 characters.",
        },
    )


class StockForm(PortalForm):
    centre = forms.ChoiceField()
    size = forms.IntegerField(
        label="Randomizations that the cohort serves",
        min_value=1,
        max_value=1000,
        widget=forms.NumberInput(attrs={"class": "short", "inputmode": "numeric"}),
        error_messages={
            "required": "Give a whole number.",
            "invalid": "Give a whole number.",
            "min_value": "Give a number from 1 to 1000.",
            "max_value": "Give a number from 1 to 1000.",
        },
    )

    def __init__(self, study: Study, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("initial", {"size": study.definition.kits.cohort_size})
        super().__init__(*args, **kwargs)
        open_centres = study.centres.exclude(status=Centre.Status.CLOSED)
        self.fields["centre"] = forms.ChoiceField(
            label="Centre",
            choices=[("", "Choose a centre")]
            + [(str(each.pk), str(each)) for each in open_centres],
            error_messages={
                "required": "Choose a centre.",
                "invalid_choice": "Choose one of the centres shown.",
            },
        )


class ReleaseForm(SignedForm):
    why = reason_field(
        "What were these calls, and why is it safe to go on?",
        help_text="This text is kept on the unblinded side.",
    )
