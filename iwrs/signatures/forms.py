"""The two components of a signature, as every form that is signed asks for them."""

from collections.abc import Iterator

from django import forms
from django.forms.boundfield import BoundField

from iwrs.forms import PortalForm, password_field

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
