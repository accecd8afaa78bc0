"""The page that closes a list."""

from typing import Any

from django.http import HttpResponse
from django.shortcuts import get_object_or_404

from enrolment.pages import Signing, StudyAct
from iwrs.forms import PortalForm
from iwrs.permissions import Act
from iwrs.signatures import Record
from randomization.unblinded.closing import close_list
from randomization.unblinded.forms import CloseListForm
from randomization.unblinded.models import RandomizationList
from randomization.unblinded.records import list_record


class CloseList(Signing, StudyAct):
    """End the use of a list, with a signature."""

    act = Act.MANAGE_LIST
    form_class = CloseListForm
    heading = "Close the list"
    explain = (
        "Nobody is randomized from it any more, and it cannot be opened again. Its places and all "
        "allocations stay as they are. Accrual must be paused or closed first, and whatever was "
        "randomized on paper must be entered."
    )
    submit = "Sign and close the list"
    grave = True
    meaning = "This randomization list is not to be used any more"
    made: RandomizationList

    def find(self, **kwargs: Any) -> None:
        super().find(**kwargs)
        self.made = get_object_or_404(RandomizationList, study=self.study, pk=kwargs["pk"])

    def record(self) -> Record:
        return list_record(self.made)

    def perform(self, form: PortalForm) -> HttpResponse:
        why, signature = form.cleaned_data["why"], self.sign(form)
        made = close_list(self.made, by=self.by, why=why, signature=signature)
        return self.done(f"List {made.number} is closed.")
