"""Forms of the front of the house."""

from django import forms

from enrolment.models import Subject

UNCONFIRMED = "unconfirmed"


class SubjectFilter(forms.Form):
    """What the list of subjects is narrowed to. Wrong values narrow nothing."""

    q = forms.CharField(
        label="Subject number", required=False, widget=forms.TextInput(attrs={"type": "search"})
    )
    status = forms.ChoiceField(
        label="State",
        required=False,
        choices=[
            ("", "All"),
            *Subject.Status.choices,
            (UNCONFIRMED, "Not confirmed by an investigator yet"),
        ],
    )
    centre = forms.IntegerField(required=False, widget=forms.HiddenInput)
