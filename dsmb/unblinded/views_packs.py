"""Pages of the unblinded statistician: emergency holders, and the packs sealed to them."""

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from dsmb.packs import rows
from dsmb.paper import paper_row
from dsmb.unblinded.holders import current_holders, end_holder, register_holder
from dsmb.unblinded.models import EmergencyHolder
from dsmb.unblinded.packs import keys_sha256, make_packs
from dsmb.unblinded.paper import make_paper
from dsmb.unblinded.views import public_key_field
from enrolment.pages import StudyAct
from iwrs.forms import PortalForm, choice_field, reason_field
from iwrs.models import Study
from iwrs.permissions import Act

NOBODY = "nobody"


class HolderForm(PortalForm):
    name = forms.CharField(
        label="Name of the emergency holder",
        max_length=200,
        help_text="A person or a duty desk that has no other duty in this study.",
        error_messages={
            "required": "Give the holder's name.",
            "max_length": "Write at most 200 characters.",
        },
    )
    who = reason_field(
        "Who is this, and how can everybody reach the holder at any time?",
        help_text="Duty, organization and telephone number, day and night.",
    )
    public_key = public_key_field("holder")

    def __init__(self, study: Study, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        now = [(str(each.pk), each.name) for each in current_holders(study)]
        if now:
            self.fields["replaces"] = choice_field(
                "Whom does this holder replace?",
                [(NOBODY, "Nobody: one more holder"), *now],
                help_text="Packs made from now on cannot be opened with the replaced key.",
            )


class Packs(StudyAct):
    """Who can open the packs, and the newest pack of each centre."""

    act = Act.MANAGE_LIST

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        holders = list(EmergencyHolder.objects.filter(study=self.study).order_by("-pk"))
        current = [each for each in holders if each.ended_at is None]
        context = {
            "study": self.study,
            "current": current,
            "ended": [each for each in holders if each.ended_at is not None],
            "keys": keys_sha256(current),
            "rows": rows(self.study),
            "paper": paper_row(self.study),
        }
        return render(request, "dsmb/unblinded/packs.html", context)

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return self.http_method_not_allowed(request)


class _PackAct(StudyAct):
    act = Act.MANAGE_LIST

    def back(self) -> str:
        return reverse("packs", args=[self.study.code])


class RegisterHolder(_PackAct):
    heading = "Register an emergency holder"
    explain = (
        "The holder can open the sealed packs of all centres of this study, without this system. "
        "All packs are made again with the new key."
    )
    submit = "Register"

    def form(self, typed: Any = None) -> PortalForm:
        return HolderForm(self.study, typed)

    def perform(self, form: PortalForm) -> HttpResponse:
        typed = dict(form.cleaned_data)
        chosen = typed.pop("replaces", NOBODY)
        mine = EmergencyHolder.objects.filter(study=self.study)
        replaces = None if chosen == NOBODY else get_object_or_404(mine, pk=chosen)
        holder = register_holder(self.study, by=self.by, replaces=replaces, **typed)
        return self.done(f"{holder.name} is an emergency holder now.")


class EndForm(PortalForm):
    why = reason_field("Why is this person no holder any more?")


class EndHolder(_PackAct):
    form_class = EndForm
    submit = "End the holder"
    grave = True
    holder: EmergencyHolder

    def find(self, **kwargs: Any) -> None:
        super().find(**kwargs)
        mine = EmergencyHolder.objects.filter(study=self.study)
        self.holder = get_object_or_404(mine, pk=kwargs["pk"])

    @property
    def heading(self) -> str:  # type: ignore[override]
        return f"End {self.holder.name} as emergency holder"

    explain = (
        "Packs made from now on cannot be opened with this key. Packs made before still can: "
        "replace the stored files, and have the old ones destroyed. Without any holder no pack is "
        "made."
    )

    def perform(self, form: PortalForm) -> HttpResponse:
        end_holder(self.holder, by=self.by, why=form.cleaned_data["why"])
        return self.done(f"{self.holder.name} is no emergency holder any more.")


class MakePacks(_PackAct):
    """Make all packs now, the randomization pack too, without waiting for the worker."""

    heading = "Make all packs now"
    explain = (
        "Every centre gets a new pack, and the study a new randomization pack. The portal offers "
        "the new files for download."
    )
    submit = "Make the packs"

    def perform(self, form: PortalForm) -> HttpResponse:
        made = make_packs(self.study, by=self.by)
        paper = " and the randomization pack" if make_paper(self.study, by=self.by) else ""
        return self.done(f"{len(made)} pack{'s' if len(made) != 1 else ''}{paper} made.")
