"""What every form of the portal shares: plain fields, and problems shown beside them."""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Any

from django import forms
from django.forms.boundfield import BoundField

from iwrs.days import OUTSIDE, is_possible
from iwrs.problems import Invalid, Problem

YES_NO_UNKNOWN = [("yes", "Yes"), ("no", "No"), ("unknown", "Not known")]


class PortalForm(forms.Form):
    """A form that can show a refused act: each error beside its field, the rest in the summary.

    Errors of the browser are left out (`novalidate` in the template), so that all people, with
    all devices, get the same text.
    """

    required_css_class = "required"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)

    def show(self, problem: Problem) -> None:
        """Put the texts of a refusal where they belong."""
        unplaced = [text for name, text in problem.errors.items() if name not in self.fields]
        for name, text in problem.errors.items():
            if name in self.fields:
                self.add_error(name, text)
        if unplaced or not problem.errors or not isinstance(problem, Invalid):
            for text in [problem.title, *unplaced, problem.action]:
                if text:
                    self.add_error(None, text)

    @property
    def summary(self) -> Iterator[tuple[str, str]]:
        """(id of the input, question and text) of each error, in the order of the page."""
        for bound in self:
            for text in bound.errors:
                stop = "" if str(bound.label).endswith("?") else ":"
                yield anchor(bound), f"{bound.label}{stop} {text}"

    def named(self, prefix: str) -> dict[str, Any]:
        """Answers of the fields `prefix.key`, by key, without those left open."""
        start = f"{prefix}."
        return {
            name.removeprefix(start): value
            for name, value in self.cleaned_data.items()
            if name.startswith(start) and value not in ("", None)
        }


def anchor(bound: BoundField) -> str:
    """The id that takes the focus: of a group of choices, the first one."""
    return f"{bound.auto_id}_0" if bound.use_fieldset else str(bound.auto_id)


def date_field(label: str, *, help_text: str = "", required: bool = True) -> forms.DateField:
    """A day, typed or picked with the device's own calendar."""
    return forms.DateField(
        label=label,
        help_text=help_text,
        required=required,
        input_formats=["%Y-%m-%d"],
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
        error_messages={
            "required": "Give a day.",
            "invalid": "Give the day as year-month-day, for example 2011-02-11.",
        },
        validators=[_possible],
    )


def _possible(day: date) -> None:
    if not is_possible(day):
        raise forms.ValidationError(OUTSIDE)


def reason_field(
    label: str, *, help_text: str = "", required: bool = True, longest: int = 300
) -> forms.CharField:
    """A few words of free text. Never a name: the help says so."""
    return forms.CharField(
        label=label,
        help_text=help_text or "Do not write the subject's name or other personal details.",
        required=required,
        max_length=longest,
        widget=forms.Textarea(attrs={"rows": 3}),
        error_messages={
            "required": "Write a few words here.",
            "max_length": f"Write at most {longest} characters.",
        },
    )


def choice_field(
    label: str,
    choices: Iterable[tuple[str, str]],
    *,
    help_text: str = "",
    required: bool = True,
    in_a_row: bool = False,
) -> forms.ChoiceField:
    """One of a few answers, all in view; short ones can stand in a row."""
    made = forms.ChoiceField(
        label=label,
        help_text=help_text,
        required=required,
        choices=list(choices),
        widget=forms.RadioSelect,
        error_messages={
            "required": "Choose one of the answers.",
            "invalid_choice": "Choose one of the answers shown.",
        },
    )
    made.in_a_row = in_a_row  # type: ignore[attr-defined]
    return made


def password_field(label: str, *, help_text: str = "") -> forms.CharField:
    """The person's own password; never sent back to the browser."""
    return forms.CharField(
        label=label,
        help_text=help_text,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        error_messages={"required": "Type your password."},
    )


def new_password_field(label: str, *, help_text: str = "") -> forms.CharField:
    """A password that is chosen now; browsers may offer to make one."""
    made = password_field(label, help_text=help_text)
    made.widget.attrs["autocomplete"] = "new-password"
    return made
