"""The two components of a signature, as every form that is signed asks for them."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django import forms
from django.forms.boundfield import BoundField

from iwrs.clock import moments_of
from iwrs.days import OUTSIDE, is_possible
from iwrs.forms import PortalForm, choice_field, password_field

COMPONENTS = ("signer", "password")


class SignedForm(PortalForm):
    """A form that is signed. The two questions come last, after what is signed."""

    signer = forms.EmailField(
        label="Your e-mail address",
        max_length=254,
        widget=forms.EmailInput(attrs={"autocomplete": "username", "inputmode": "email"}),
        error_messages={
            "required": "Type your e-mail address.",
            "invalid": "Type your e-mail address, for example name@hospital.org.",
        },
    )
    password = password_field(
        "Your password", help_text="Your e-mail address and password together are your signature."
    )

    def __iter__(self) -> Iterator[BoundField]:
        return iter(sorted(super().__iter__(), key=lambda bound: bound.name in COMPONENTS))

    @property
    def answers(self) -> dict[str, object]:
        """What was typed, without the signature's own two fields."""
        return {k: v for k, v in self.cleaned_data.items() if k not in COMPONENTS}


class WallClockForm(SignedForm):
    """A signed form that asks for a time by the clock of a centre, and makes one moment of it."""

    WHICH = "which_hour"

    def __init__(self, time_zone: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.time_zone = time_zone

    def moment(self, name: str, wall: datetime, *, day: str = "") -> datetime | None:
        """The moment of what was typed in the field `name`, and in the field `day` if there is one;
        None when an error was added.

        Which of two hours is meant is asked only where it has to be: once a year, for an hour.
        """
        if not is_possible(wall.date()):
            self.add_error(day or name, OUTSIDE)
            return None
        found = moments_of(wall, self.time_zone)
        if not found:
            self.add_error(name, "The clock was put forward on that day: this time was skipped.")
            return None
        if len(found) == 1:
            return found[0]
        first, second = found
        self.fields[self.WHICH] = choice_field(
            "The clock was put back on that day, and this time came twice. Which one was it?",
            [
                ("first", f"The first, before the clock was put back ({first:%H:%M} UTC)"),
                ("second", f"The second, after it was put back ({second:%H:%M} UTC)"),
            ],
        )
        names = list(self.fields)
        self.order_fields([*names[: names.index(name) + 1], self.WHICH])
        chosen = {"first": first, "second": second}.get(self.data.get(self.WHICH, ""))
        if chosen is None:
            self.add_error(self.WHICH, "Choose one of the two.")
        return chosen
