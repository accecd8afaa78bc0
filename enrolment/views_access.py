"""Who has access: the list of a study and its review, and the delegation log of a centre."""

from typing import Any, ClassVar

from django import forms
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse

from enrolment import access_review, delegation
from enrolment.access import allowed
from enrolment.pages import CentreAct, StudyAct
from iwrs.forms import PortalForm, reason_field
from iwrs.permissions import Act

REVIEWS_SHOWN = 20


class ReviewForm(PortalForm):
    notes = reason_field(
        "What did you look at, and what did you find?",
        help_text="For example: all roles compared with the list of staff; two were ended.",
        longest=2000,
    )
    seen = forms.CharField(widget=forms.HiddenInput, max_length=64)


class AccessList(StudyAct):
    """Every account and role of the study, and when the list was reviewed."""

    act = Act.SEE_PEOPLE
    review_act: ClassVar[Act] = Act.REVIEW_ACCESS
    sensitive = "the list of who has access"

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        reviews = access_review.newest_reviews(self.study, REVIEWS_SHOWN)
        rows = access_review.access_and_accounts(self.study)
        context = {
            "study": self.study,
            "rows": rows,
            "fingerprint": access_review.fingerprint([access for access, _ in rows]),
            "reviews": reviews,
            "due": access_review.is_due(reviews[0] if reviews else None),
            "days": access_review.EVERY.days,
            "may_manage": allowed(self.person, Act.MANAGE_PEOPLE, self.study),
            "may_see_account": allowed(self.person, Act.SEE_ACCOUNTS, self.study),
            # The unblinded site has no page of a person: a name leads to the trail of the account.
            "reads_trail": allowed(self.person, Act.SEE_UNBLINDED_AUDIT, self.study),
            "may_review": allowed(self.person, self.review_act, self.study),
        }
        return render(request, "enrolment/access.html", context)

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return self.http_method_not_allowed(request)


class AccessCsv(AccessList):
    """The same list as a file. Who took it is recorded."""

    copied = True

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        rows = access_review.who_has_access(self.study)
        return download(access_review.as_csv(rows), f"{self.study.code}-access.csv")


class ReviewAccess(StudyAct):
    """Record that the list was looked through. A list that changed meanwhile is shown again."""

    act = Act.REVIEW_ACCESS
    heading = "Record a review of access"
    explain = "Look through the list first. What you write here stays, with your name and the time."
    submit = "Record the review"

    def form(self, typed: Any = None) -> PortalForm:
        # What was looked through is the list that the person came from.
        now = access_review.fingerprint(access_review.who_has_access(self.study))
        return ReviewForm(typed, initial={"seen": self.request.GET.get("seen", now)[:64]})

    def back(self) -> str:
        return reverse("access", args=[self.study.code])

    def perform(self, form: PortalForm) -> HttpResponse:
        access_review.record_access_review(self.study, by=self.by, **form.cleaned_data)
        return self.done("The review is recorded.")


class UnblindedAccessList(AccessList):
    """The same on the unblinded site, over the accounts of unblinded staff."""

    act = Act.SEE_UNBLINDED_PEOPLE
    review_act = Act.REVIEW_UNBLINDED_ACCESS


class UnblindedAccessCsv(AccessCsv):
    """The list of unblinded staff as a file."""

    act = Act.SEE_UNBLINDED_PEOPLE


class ReviewUnblindedAccess(ReviewAccess):
    """Record that the list of unblinded staff was looked through."""

    act = Act.REVIEW_UNBLINDED_ACCESS


class DelegationLog(CentreAct):
    """Who might do what at a centre, from when to when. Made to be printed."""

    act = Act.SEE_PEOPLE
    sensitive = "the delegation log"

    @property
    def about(self) -> str:  # type: ignore[override]
        return f"centre {self.centre.number}"

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        context = {"centre": self.centre, "rows": delegation.delegation_log(self.centre)}
        return render(request, "enrolment/delegation.html", context)

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return self.http_method_not_allowed(request)


class DelegationCsv(DelegationLog):
    """The same log as a file. Who took it is recorded."""

    copied = True

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        rows = delegation.delegation_log(self.centre)
        return download(delegation.as_csv(rows), f"centre-{self.centre.number}-delegation.csv")


def download(text: str, name: str) -> HttpResponse:
    """A CSV file for a person's spreadsheet."""
    response = HttpResponse(text, content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
