"""The forms of room 1. Field names are those of the services' error texts (`strata.visceral`)."""

import hashlib
import json
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from django import forms
from django.forms.boundfield import BoundField

from enrolment.models import CountryAccrual, Subject
from enrolment.people import AT_A_CENTRE, LONGEST_NAME
from enrolment.places import countries, time_zones
from enrolment.services import Screening, answers_of
from iwrs.accounts.models import SITE_ROLES, UNBLINDED_ROLES, Role
from iwrs.definition import BaselineItem, StudyDefinition
from iwrs.forms import (
    YES_NO_UNKNOWN,
    PortalForm,
    choice_field,
    date_field,
    reason_field,
)
from iwrs.signatures.forms import SignedForm


class ScreeningForm(PortalForm):
    """Consent, stratification, eligibility and baseline, as the study's definition asks them.

    Nothing is required here: the service says everything that is missing at once.
    """

    sections: tuple[tuple[str, str, str], ...] = (
        ("Consent", "", "consent_on"),
        (
            "Stratification",
            "These answers decide the list that the subject is randomized from. Check them well.",
            "strata.",
        ),
        ("Eligibility", "You can leave a question open and answer it later.", "eligibility."),
        ("Baseline", "", "baseline."),
    )

    def __init__(self, definition: StudyDefinition, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["consent_on"] = date_field(
            "Day on which the subject signed the consent", required=False
        )
        for factor in definition.factors:
            self.fields[f"strata.{factor.key}"] = choice_field(
                factor.question,
                [(level.key, level.label) for level in factor.levels],
                help_text=factor.help,
                required=False,
                in_a_row=True,
            )
        for question in definition.eligibility:
            self.fields[f"eligibility.{question.key}"] = choice_field(
                question.question,
                YES_NO_UNKNOWN,
                help_text=question.help,
                required=False,
                in_a_row=True,
            )
        for item in definition.baseline:
            self.fields[f"baseline.{item.key}"] = baseline_field(item)
        for name, each in self.fields.items():
            optional = name in {f"baseline.{b.key}" for b in definition.baseline if not b.required}
            each.may_wait = not optional  # type: ignore[attr-defined]

    def groups(self) -> Iterator[tuple[str, str, list[BoundField]]]:
        """Title, explanation and questions of each part of the page."""
        for title, explain, start in self.sections:
            yield title, explain, [self[n] for n in self.fields if n.startswith(start)]

    def screening(self) -> Screening:
        """What was typed, as the service takes it."""
        return Screening(
            consent_on=self.cleaned_data["consent_on"],
            strata=self.named("strata"),
            eligibility=self.named("eligibility"),
            baseline=self.named("baseline"),
        )


class NewSubjectForm(ScreeningForm):
    """Screening of a new subject. `once` makes sending the page twice register one subject."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["once"] = forms.UUIDField(initial=uuid.uuid4, widget=forms.HiddenInput)

    def fingerprint(self) -> str:
        """Hash of what was typed: tells a page sent twice from one with other answers."""
        typed = json.dumps(self.cleaned_data, sort_keys=True, default=str)
        return hashlib.sha256(typed.encode()).hexdigest()


class ChangedAnswersForm(ScreeningForm):
    """The same questions with the answers given so far, and why they change."""

    sections = (*ScreeningForm.sections, ("Reason for the change", "", "why"))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["why"] = reason_field("Why do the answers change?")


def answers_given(subject: Subject) -> dict[str, Any]:
    """A subject's answers as initial values of `ChangedAnswersForm`."""
    return {
        "consent_on": subject.consent_on,
        **{f"strata.{key}": value for key, value in subject.strata.items()},
        **{f"eligibility.{key}": value for key, value in answers_of(subject).items()},
        **{f"baseline.{key}": value for key, value in subject.baseline.items()},
    }


def baseline_field(item: BaselineItem) -> forms.Field:
    """One baseline question, as the definition asks it."""
    label = f"{item.question} ({item.unit})" if item.unit else item.question
    if item.type == "choice":
        choices = [("", "Not given"), *((each.key, each.label) for each in item.choices)]
        return forms.ChoiceField(label=label, help_text=item.help, required=False, choices=choices)
    return forms.IntegerField(
        label=label,
        help_text=item.help,
        required=False,
        widget=forms.TextInput(attrs={"inputmode": "numeric", "class": "short"}),
        error_messages={"invalid": "Give a whole number."},
    )


class FailureForm(PortalForm):
    reason = reason_field("Why is the subject not randomized?")


class DeviationForm(PortalForm):
    """Ask to set a question aside; `questions` are key and text of those that allow it."""

    def __init__(self, questions: list[tuple[str, str]], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["question"] = choice_field("Which question?", questions)
        self.fields["reason"] = reason_field(
            "Why may the subject be randomized all the same?", longest=2000
        )


class ActivationForm(SignedForm):
    ethics_approved_on = date_field(
        "Day of the ethics approval", help_text="The approval that is in force now."
    )


class SuspensionForm(PortalForm):
    why = reason_field("Why is the centre suspended?")


class ClosingForm(PortalForm):
    why = reason_field("Why is the centre closed?")


class CountryForm(PortalForm):
    """Accrual in one of the study's countries, as (code, name)."""

    def __init__(self, known: Iterable[tuple[str, str]], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["country"] = choice_field("Country", known)
        self.fields["status"] = choice_field("Accrual there", CountryAccrual.Status.choices)
        self.fields["why"] = reason_field("Why?")


class CentreForm(PortalForm):
    """A new centre. The time zone must be one of its country's."""

    number = forms.RegexField(
        r"^[0-9]{4}$",
        label="Number of the centre",
        help_text="Four digits: two for the country, two for the centre. For example 0103.",
        widget=forms.TextInput(attrs={"inputmode": "numeric", "class": "short"}),
        error_messages={"required": "Give a number.", "invalid": "Give exactly four digits."},
    )
    name = forms.CharField(
        label="Name of the hospital",
        max_length=200,
        error_messages={
            "required": "Give the name.",
            "max_length": "Write at most 200 characters.",
        },
    )
    country_code = forms.ChoiceField(
        label="Country",
        choices=lambda: [("", "Choose a country"), *countries().items()],
        error_messages={
            "required": "Choose a country.",
            "invalid_choice": "Choose a country of the list.",
        },
    )
    time_zone = forms.ChoiceField(
        label="Time zone",
        help_text="It decides what day it is at the centre.",
        choices=lambda: [("", "Choose a time zone"), *_zones_by_country()],
        error_messages={
            "required": "Choose a time zone.",
            "invalid_choice": "Choose a time zone of the list, for example Europe/Paris.",
        },
    )
    ethics_approved_on = date_field(
        "Day of the ethics approval",
        help_text="You can give it later. The centre is active when you activate it.",
        required=False,
    )

    def clean_time_zone(self) -> str:
        chosen: str = self.cleaned_data["time_zone"]
        country = self.cleaned_data.get("country_code")
        if country and chosen not in time_zones().get(country, ()):
            theirs = ", ".join(time_zones().get(country, ()))
            raise forms.ValidationError(
                f"This is not a time zone of {countries()[country]}. Choose one of: {theirs}."
            )
        return chosen


def _zones_by_country() -> list[tuple[str, list[tuple[str, str]]]]:
    return [
        (name, [(zone, zone) for zone in time_zones()[code]])
        for code, name in countries().items()
        if code in time_zones()
    ]


class PersonForm(PortalForm):
    """A person who gets a role at a centre."""

    email = forms.EmailField(
        label="E-mail address",
        help_text="The person signs in with it.",
        widget=forms.EmailInput(attrs={"inputmode": "email", "autocomplete": "off"}),
        error_messages={
            "required": "Give the e-mail address.",
            "invalid": "Give an e-mail address, for example name@hospital.org.",
        },
    )
    name = forms.CharField(
        label="Name of the person",
        max_length=LONGEST_NAME,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={
            "required": "Give the name.",
            "max_length": f"Write at most {LONGEST_NAME} characters.",
        },
    )
    role = choice_field(
        "Role at this centre",
        [(role.value, role.label) for role in Role if role in AT_A_CENTRE],
    )
    since = date_field("First day", help_text="Leave it empty for today.", required=False)
    until = date_field("Last day", help_text="Leave it empty if no end is known.", required=False)


class StudyPersonForm(PersonForm):
    """A person who gets a role in the whole study."""

    role = choice_field(
        "Role in the whole study",
        [(r.value, r.label) for r in Role if r not in SITE_ROLES | UNBLINDED_ROLES],
    )


class EndAccessForm(PortalForm):
    why = reason_field("Why?", help_text="For example: does not work for this trial any more.")


class ResetForm(PortalForm):
    why = reason_field(
        "How do you know that it is this person?",
        help_text="For example: called back on the number of the hospital; the phone was stolen.",
    )


class EndRoleForm(PortalForm):
    why = reason_field(
        "Why does the role end?", help_text="For example: does not work at the centre any more."
    )
    last_day = date_field(
        "Last day", help_text="Leave it empty to end the role now.", required=False
    )


class AccrualForm(PortalForm):
    """Another state of the study, and why."""

    def __init__(self, states: list[tuple[str, str]], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["status"] = choice_field("What do you want to do?", states)
        self.fields["why"] = reason_field("Why?")
