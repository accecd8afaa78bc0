"""Pages of the unblinded statistician: generate a list, approve it, release the gate."""

from collections import Counter
from typing import Any, ClassVar

from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import get_object_or_404

from enrolment.pages import Signing, StudyAct
from iwrs.forms import PortalForm
from iwrs.permissions import Act
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Record
from iwrs.signatures.services import signatures_of
from randomization.unblinded.checks import report
from randomization.unblinded.forms import SPLIT, GenerateForm, ImportListForm, ReleaseForm
from randomization.unblinded.imported import import_list
from randomization.unblinded.models import ListEntry, RandomizationList, StratumCursor
from randomization.unblinded.records import calls_record, list_record, release_record
from randomization.unblinded.seeds import current_split, is_complete
from randomization.unblinded.services import (
    abandoned,
    approve_list,
    generate_list,
    release_calls,
    releases_of,
)

RELEASE_MEANING = "I looked at these calls, and it is safe to go on"
_SHOWN_ELSEWHERE = {"study", "strata"}
MEANING = "I reviewed this randomization list's design and approve its use"


class GenerateList(StudyAct):
    """Make a new list; two other people approve it."""

    act = Act.MANAGE_LIST
    heading = "Generate a randomization list"
    explain = (
        "The list is made from the study definition and a new secret seed. "
        "Then two other people must approve it. Neither of them may be you."
    )
    submit = "Generate the list"

    def form(self, typed: Any = None) -> PortalForm:
        split = current_split(self.study)
        self.split = split if is_complete(split) else None
        return GenerateForm(self.split, typed)

    def perform(self, form: PortalForm) -> HttpResponse:
        split = self.split if form.cleaned_data.get("seed") == SPLIT else None
        made = generate_list(self.study, by=self.by, split=split)
        return self.done(f"List {made.number} is generated. It waits for two approvals.")


class ImportList(StudyAct):
    """Take a list made outside. A refused file keeps the page and names every row."""

    act = Act.MANAGE_LIST
    template_name = "randomization/unblinded/import_list.html"
    heading = "Import a list made outside"
    explain = (
        "A file is imported whole or not at all. It must be a whole scheme: every stratum, no gap, "
        "every block in the ratio. Then two other people must approve it."
    )
    submit = "Import"

    def form(self, typed: Any = None) -> PortalForm:
        return ImportListForm(typed, self.request.FILES if typed is not None else None)

    def perform(self, form: PortalForm) -> HttpResponse:
        file, names = form.cleaned_data["file"], form.cleaned_data["names"]
        try:
            made = import_list(
                self.study, file.read(), file_name=file.name, names=names, by=self.by
            )
        except Invalid as problem:
            self.faults = problem.errors
            raise Problem(
                code=problem.code, title=problem.title, action=problem.action, status=problem.status
            ) from None
        return self.done(f"List {made.number} is imported. It waits for two approvals.")

    def context(self) -> dict[str, Any]:
        return super().context() | {"faults": getattr(self, "faults", {})}


class ApproveList(Signing, StudyAct):
    """Sign a list. The second signature makes it active."""

    act = Act.MANAGE_LIST
    template_name = "randomization/unblinded/approve_list.html"
    heading = "Approve the randomization list"
    submit = "Sign and approve"
    grave: ClassVar[bool] = True
    meaning = MEANING
    sensitive = "a randomization list"
    made: RandomizationList

    def find(self, **kwargs: Any) -> None:
        super().find(**kwargs)
        self.made = get_object_or_404(RandomizationList, study=self.study, pk=kwargs["pk"])
        if self.made.number > 1:
            self.explain = (
                "From the second signature on it takes the place of the list before. Whatever was "
                "randomized on paper must be entered first: its places are of that list."
            )

    def context(self) -> dict[str, Any]:
        return super().context() | {
            "made": self.made,
            "strata": contents(self.made),
            "parameters": parameters(self.made),
            "checks": report(self.made),
            "arms": self.study.definition.arms,
            "signatures": signatures_of([list_record(self.made)]),
        }

    def record(self) -> Record:
        return list_record(self.made)

    def perform(self, form: PortalForm) -> HttpResponse:
        made = approve_list(self.made, by=self.by, signature=self.sign(form))
        return self.done(f"List {made.number} is signed. Its state: {made.get_status_display()}.")


class ReleaseAllocation(Signing, StudyAct):
    """Let a stratum's allocation go on after an alarm."""

    act = Act.MANAGE_LIST
    form_class = ReleaseForm
    heading = "Release allocation"
    template_name = "randomization/unblinded/release.html"
    submit = "Sign and release"
    meaning = RELEASE_MEANING
    cursor: StratumCursor

    def find(self, **kwargs: Any) -> None:
        super().find(**kwargs)
        active = StratumCursor.objects.filter(list__study=self.study, list__status="active")
        self.cursor = get_object_or_404(active, pk=kwargs["pk"])
        self.explain = (
            f"Stratum {self.cursor.stratum_key}: calls for a place were begun and not completed. "
            "Find out why before you let allocation go on."
        )

    def record(self) -> Record:
        made = self.cursor
        self.calls = max(abandoned("stratum", made.pk, made.subjects), 0)
        return calls_record("stratum", made.pk, made.stratum_key, self.calls)

    def context(self) -> dict[str, Any]:
        earlier = releases_of(self.study, "stratum", self.cursor.pk)
        signed = signatures_of(release_record(each) for each in earlier)
        return super().context() | {
            "calls": self.calls,
            "earlier": earlier,
            "signatures": signed,
        }

    def perform(self, form: PortalForm) -> HttpResponse:
        why = form.cleaned_data["why"]
        release_calls(self.cursor, by=self.by, why=why, signature=self.sign(form))
        return self.done(f"Allocation in stratum {self.cursor.stratum_key} goes on.")


def contents(made: RandomizationList) -> list[dict[str, Any]]:
    """Each stratum with its number of blocks and of places for each arm, for the reviewer."""
    counted = (
        ListEntry.objects.filter(list=made)
        .values("stratum_key", "arm")
        .annotate(places=Count("pk"))
    )
    places = {(row["stratum_key"], row["arm"]): row["places"] for row in counted}
    blocks = dict(
        ListEntry.objects.filter(list=made)
        .values_list("stratum_key")
        .annotate(Count("block", distinct=True))
    )
    arms = [] if made.dynamic else [code for code, _ in made.design["arms"]]
    totals = Counter(dict.fromkeys(blocks, 0))
    for (key, _), number in places.items():
        totals[key] += number
    return [
        {
            "stratum": key,
            "blocks": blocks[key],
            "places": [(arm, places.get((key, arm), 0)) for arm in arms],
            "total": totals[key],
        }
        for key in sorted(blocks)
    ]


def parameters(made: RandomizationList) -> list[tuple[str, str]]:
    """The method's name and parameters, as the design keeps them."""
    shown = {key: value for key, value in made.design.items() if key not in _SHOWN_ELSEWHERE}
    return [(key.replace("_", " ").capitalize(), _in_words(value)) for key, value in shown.items()]


def _in_words(value: object) -> str:
    if isinstance(value, list | tuple):
        if len(value) == 2 and isinstance(value[0], str):  # an arm with its ratio, a weight
            return " ".join(str(each) for each in value)
        return ", ".join(_in_words(each) for each in value) or "none"
    return str(value)
