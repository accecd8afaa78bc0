"""The pages of corrections: what is recorded of a subject, and correcting one fact of it."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from assessments.corrections.facts import FACTS, Fact, facts_of
from assessments.corrections.forms import CorrectionForm
from assessments.corrections.services import correct, correction_record, fact_record
from assessments.models import Correction
from enrolment.access import allowed, subjects_for
from enrolment.models import Subject
from enrolment.pages import Page, Signing, SubjectAct
from iwrs.forms import PortalForm
from iwrs.permissions import Act
from iwrs.signatures import Record
from iwrs.signatures.services import signatures_by_pk


class RecordedFacts(Page):
    """Everything recorded of a subject, each fact with its corrections."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        subject = get_object_or_404(subjects_for(self.person), pk=pk)
        if subject.randomized_at is None:
            raise Http404
        may = {act for act in {f.act for f in FACTS.values()} if self._may(act, subject)}
        context = {"subject": subject, **recorded(subject, may)}
        return render(request, "assessments/facts.html", context)

    def _may(self, act: Act, subject: Subject) -> bool:
        return allowed(self.person, act, subject.centre)


def recorded(subject: Subject, may: set[Act]) -> dict[str, Any]:
    """Facts as they stand, each with its corrections, and those that were taken back."""
    made = list(Correction.objects.filter(subject=subject))
    signed = signatures_by_pk([correction_record(each) for each in made])
    told = defaultdict(list)
    for each in made:
        told[each.fact, each.record].append(each)
    standing = []
    for fact, row in facts_of(subject):
        corrections = told.pop((fact.key, row.pk), [])
        standing.append(
            {
                "name": fact.name(row),
                "answers": fact.whole(row),
                "address": address_of(fact, row) if fact.act in may else "",
                "corrections": [_told(each, signed) for each in corrections],
            }
        )
    gone = [_told(each, signed) for of in told.values() for each in of]
    return {"standing": standing, "gone": gone}


def address_of(fact: Fact, row: Any) -> str:
    """The address of the page on which one fact is corrected."""
    if fact.act == Act.RECORD_CENTRAL_READ:
        return reverse("correct-central-read", args=[row.pk])
    return reverse("correct", args=[fact.key, row.pk])


def _told(made: Correction, signed: Mapping[int, list[Any]]) -> dict[str, Any]:
    """A correction with its signatures: what stood there, by whom it was changed, when and why."""
    return {"made": made, "was": made.told, "signatures": signed.get(made.pk, [])}


class Correct(Signing, SubjectAct):
    """Correct one fact, with a signature."""

    act = Act.CORRECT
    template_name = "assessments/correct.html"
    submit = "Sign the correction"
    meaning = "I correct this record; what I sign now is right"
    explain = "What stood here before stays readable, with your name and your reason."
    fact: Fact
    row: Any

    def find(self, **kwargs: Any) -> None:
        self.fact = self.kind(kwargs)
        within = subjects_for(self.person).filter(randomized_at__isnull=False)
        self.row = get_object_or_404(self.fact.rows(within), pk=kwargs["pk"])
        of = self.row.pk if self.fact.model is Subject else self.row.subject_id
        self.found(within.get(pk=of))
        if self.fact.model is Subject:
            self.row = self.subject
        else:
            self.row.subject = self.subject

    def kind(self, kwargs: Mapping[str, Any]) -> Fact:
        """The kind of fact that the address names."""
        fact = FACTS.get(kwargs["fact"])
        if fact is None or fact.act != self.act:
            raise Http404
        return fact

    @property
    def heading(self) -> str:  # type: ignore[override]
        return f"Correct: {self.fact.name(self.row)}"

    def form(self, typed: Any = None) -> PortalForm:
        return CorrectionForm(self.fact, self.row, typed)

    def record(self) -> Record:
        return fact_record(self.fact, self.subject, self.row)

    def context(self) -> dict[str, Any]:
        return {"subject": self.subject, "answers": self.fact.whole(self.row)}

    def back(self) -> str:
        return reverse("facts", args=[self.subject.pk])

    def perform(self, form: CorrectionForm) -> HttpResponse:  # type: ignore[override]
        correct(
            self.subject,
            self.fact,
            self.row.pk,
            form.values,
            by=self.by,
            why=form.cleaned_data["why"],
            in_error=form.cleaned_data.get("in_error", False),
            signature=self.sign(form),
        )
        return self.done("The correction is recorded.")


class CorrectCentralRead(Correct):
    """The same for a read by central radiology, by those who record them."""

    act = Act.RECORD_CENTRAL_READ

    def kind(self, kwargs: Mapping[str, Any]) -> Fact:
        return FACTS["central-read"]
