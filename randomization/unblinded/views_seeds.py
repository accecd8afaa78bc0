"""Pages of a seed made by two people."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from enrolment.pages import Signing, StudyAct
from iwrs.forms import PortalForm
from iwrs.permissions import Act
from iwrs.signatures import Record
from randomization.unblinded.forms import CommitForm, EndSplitForm, OpenShareForm
from randomization.unblinded.models_life import SplitSeed
from randomization.unblinded.records import share_record
from randomization.unblinded.seeds import (
    commit_share,
    current_split,
    end_split,
    is_complete,
    open_share,
)


class SeedAct(StudyAct):
    """An act on the study's split seed."""

    act = Act.MANAGE_LIST

    def back(self) -> str:
        return reverse("split-seed", args=[self.study.code])


class SeedPage(SeedAct):
    """Who gave and opened which share of the seed that is being made, and those before."""

    http_method_names = ["get", "head", "options"]

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        split = current_split(self.study)
        shares = list(split.shares.order_by("place")) if split else []
        own = next((each for each in shares if each.by == self.by.label), None)
        shown = {
            "study": self.study,
            "split": split,
            "shares": shares,
            "may_commit": own is None and len(shares) < 2,
            "may_open": own is not None and len(shares) == 2 and not own.share,
            "complete": is_complete(split),
            "earlier": SplitSeed.objects.filter(study=self.study, ended_at__isnull=False),
        }
        return render(request, "randomization/unblinded/split_seed.html", shown)


class CommitShare(SeedAct):
    """Give the commitment to a share that one has drawn on one's own computer."""

    form_class = CommitForm
    heading = "Commit to your share of the seed"
    template_name = "randomization/unblinded/commit_share.html"
    explain = (
        "Two people draw one share each and keep it to themselves. First both give a commitment, "
        "from which nobody can find the share. Then both give the share itself."
    )
    submit = "Give this commitment"

    def perform(self, form: PortalForm) -> HttpResponse:
        share = commit_share(self.study, form.cleaned_data["commitment"], by=self.by)
        return self.done(
            f"Your commitment is number {share.place} of split seed {share.split.number}."
        )


class OneSplit(SeedAct):
    """A page on one split seed."""

    split: SplitSeed

    def find(self, **kwargs: Any) -> None:
        super().find(**kwargs)
        self.split = get_object_or_404(SplitSeed, study=self.study, pk=kwargs["pk"])


class OpenShare(Signing, OneSplit):
    """Give the share itself, with a signature."""

    form_class = OpenShareForm
    heading = "Open your share of the seed"
    explain = "No page shows a share, and the other person learns nothing of yours here."
    submit = "Sign and open my share"
    meaning = "I drew this share at random, alone, and told nobody"

    def record(self) -> Record:
        return share_record(self.split)

    def perform(self, form: PortalForm) -> HttpResponse:
        signature = self.sign(form)
        open_share(self.split, form.cleaned_data["share"], by=self.by, signature=signature)
        return self.done("Your share is open.")


class EndSplit(OneSplit):
    """Give a seed up: a share was lost, or somebody learned it."""

    form_class = EndSplitForm
    heading = "Give this seed up"
    explain = "The seed and the reason stay in the record. Then a new seed can be begun."
    submit = "Give this seed up"
    grave = True

    def perform(self, form: PortalForm) -> HttpResponse:
        end_split(self.split, by=self.by, why=form.cleaned_data["why"])
        return self.done("The seed is given up.")
