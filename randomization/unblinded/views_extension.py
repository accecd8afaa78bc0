"""Pages of a list's extension: propose it, approve it by two people, withdraw it."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404

from enrolment.pages import Signing, StudyAct
from iwrs.forms import PortalForm
from iwrs.permissions import Act
from iwrs.signatures import Record
from iwrs.signatures.services import signatures_of
from randomization.unblinded.extension import (
    approve_extension,
    extend_list,
    lengths,
    low_strata,
    missing_strata,
    report,
    withdraw_extension,
)
from randomization.unblinded.forms import ExtendForm, WithdrawForm
from randomization.unblinded.models import RandomizationList
from randomization.unblinded.models_life import ListExtension
from randomization.unblinded.records import extension_record


class ExtendList(StudyAct):
    """Propose more places for the list in use."""

    act = Act.MANAGE_LIST
    form_class = ExtendForm
    template_name = "randomization/unblinded/extend_list.html"
    heading = "Extend the list"
    explain = (
        "The list goes on from the same seed: the places it has stay. Strata of centres that came "
        "later are added. Then two other people must approve it."
    )
    submit = "Propose this extension"
    made: RandomizationList

    def find(self, **kwargs: Any) -> None:
        super().find(**kwargs)
        self.made = get_object_or_404(RandomizationList, study=self.study, pk=kwargs["pk"])

    def context(self) -> dict[str, Any]:
        return super().context() | {
            "made": self.made,
            "low": low_strata(self.made),
            "missing": missing_strata(self.made),
        }

    def perform(self, form: PortalForm) -> HttpResponse:
        extension = extend_list(self.made, length=form.cleaned_data["length"], by=self.by)
        return self.done(f"{extension} is proposed. It waits for two approvals.")


class OneExtension(StudyAct):
    """A page on one extension."""

    act = Act.MANAGE_LIST
    extension: ListExtension

    def find(self, **kwargs: Any) -> None:
        super().find(**kwargs)
        found = ListExtension.objects.select_related("list__study")
        self.extension = get_object_or_404(found, list__study=self.study, pk=kwargs["pk"])


class ApproveExtension(Signing, OneExtension):
    """Sign an extension. The second signature takes its places into use."""

    template_name = "randomization/unblinded/approve_extension.html"
    heading = "Approve the extension of the list"
    grave = True
    submit = "Sign and approve"
    meaning = "I reviewed this extension of the randomization list and approve its use"
    sensitive = "an extension of a randomization list"

    def record(self) -> Record:
        return extension_record(self.extension)

    def context(self) -> dict[str, Any]:
        waits = self.extension.status in {"generated", "approved"}
        return super().context() | {
            "extension": self.extension,
            "strata": lengths(self.extension),
            "checks": report(self.extension) if waits else [],
            "signatures": signatures_of([self.record()]),
        }

    def perform(self, form: PortalForm) -> HttpResponse:
        made = approve_extension(self.extension, by=self.by, signature=self.sign(form))
        return self.done(f"{made} is signed. Its state: {made.get_status_display()}.")


class WithdrawExtension(OneExtension):
    """Give a proposed extension up."""

    form_class = WithdrawForm
    heading = "Withdraw the extension"
    explain = "None of its places was stored. The extension and the reason stay in the record."
    submit = "Withdraw it"

    def perform(self, form: PortalForm) -> HttpResponse:
        withdraw_extension(self.extension, by=self.by, why=form.cleaned_data["why"])
        return self.done("The extension is withdrawn.")
