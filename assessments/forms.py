"""The forms of room 4."""

from django import forms

from assessments.models import TumourRead
from iwrs.forms import PortalForm, choice_field, date_field, reason_field


def ecog_field() -> forms.TypedChoiceField:
    """Performance status, 0 to 5, or not done."""
    return forms.TypedChoiceField(
        label="ECOG performance status",
        required=False,
        coerce=int,
        empty_value=None,
        choices=[("", "Not done"), *((str(n), str(n)) for n in range(6))],
    )


def quality_field() -> forms.DecimalField:
    """A score with up to two decimals, or nothing."""
    return forms.DecimalField(
        label="Quality of life, QLQ-C30 global score",
        help_text="0 to 100.",
        required=False,
        min_value=0,
        max_value=100,
        decimal_places=2,
        max_digits=5,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "class": "short"}),
        error_messages={"invalid": "Give a number from 0 to 100, for example 66.67."},
    )


class VisitForm(PortalForm):
    """What happened at a visit. Every part but the day can be missing."""

    on = date_field("Day of the visit")
    local_response = choice_field(
        "Overall response, by the local investigator",
        [*TumourRead.Response.choices, ("", "No tumour assessment at this visit")],
        help_text="Progressive disease ends the planned visits.",
        required=False,
    )
    ecog = ecog_field()
    quality_of_life = quality_field()


class MissForm(PortalForm):
    why = reason_field("Why did the visit not take place?")


class CentralReadForm(PortalForm):
    assessed_on = date_field("Day of the scan")
    response = choice_field("Overall response, by central radiology", TumourRead.Response.choices)
    read_on = date_field("Day of the decision")


class EventForm(PortalForm):
    on = date_field("Day")
    detail = reason_field("Details", required=False)


class ContactForm(PortalForm):
    on = date_field(
        "Day of the contact", help_text="A day on which the subject was known to be alive."
    )
