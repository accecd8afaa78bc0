"""Pages about what leaves sealed: recipients' keys, and the state of each release."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from dsmb.unblinded.models import RecipientKey
from dsmb.unblinded.services import register_recipient_key
from enrolment.access import require, studies_for
from enrolment.pages import Page, StudyAct
from iwrs.forms import PortalForm, choice_field
from iwrs.models import Study
from iwrs.permissions import Act


def public_key_field(whose: str) -> forms.CharField:
    """An age public key, to be copied and pasted."""
    return forms.CharField(
        label="Public key",
        max_length=200,
        help_text=f"The {whose} makes a key pair with age and sends you the public key, which "
        "starts with age1. Check it by telephone. Never ask for the other half.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        error_messages={
            "required": f"Give the {whose}'s public key.",
            "max_length": "This is too long for a public key.",
        },
    )


class RecipientKeyForm(PortalForm):
    recipient = forms.ChoiceField(label="Recipient")
    public_key = public_key_field("recipient")

    def __init__(self, study: Study, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["recipient"] = choice_field(
            "Recipient", [(each.key, each.label) for each in study.definition.recipients]
        )


class RegisterKey(StudyAct):
    """Register the key that a recipient's packages are sealed to."""

    act = Act.MANAGE_LIST
    heading = "Register a recipient's key"
    explain = "Packages made from now on can be opened with this key only."
    submit = "Register"

    def form(self, typed: Any = None) -> PortalForm:
        return RecipientKeyForm(self.study, typed)

    def perform(self, form: PortalForm) -> HttpResponse:
        key = register_recipient_key(
            self.study,
            form.cleaned_data["recipient"],
            form.cleaned_data["public_key"],
            by=self.by,
        )
        return self.done(f"The key of {key.recipient} is registered.")


class Releases(Page):
    """Keys of the recipients, and each sealed package with its state."""

    study: Study

    def find(self, **kwargs: Any) -> None:
        self.study = get_object_or_404(studies_for(self.request.user), code=kwargs["code"])
        self.by = require(self.request.user, Act.MANAGE_LIST, self.study)

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        keys = {key.recipient: key for key in RecipientKey.objects.filter(study=self.study)}
        context = {
            "study": self.study,
            "recipients": [(each, keys.get(each.key)) for each in self.study.definition.recipients],
            "extracts": self.study.extracts.defer("sealed").select_related("cut")[:50],
        }
        return render(request, "dsmb/unblinded/releases.html", context)
