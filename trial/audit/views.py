"""The pages of the audit trail, the same on both sites, each over its own side's history."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from enrolment.access import allowed, require, studies_for, subjects_for
from enrolment.models import Subject
from enrolment.pages import Page, StudyAct
from iwrs.audit_trail.models import Review
from iwrs.forms import PortalForm
from iwrs.models import Study
from iwrs.permissions import Act
from iwrs.problems import Problem
from trial.audit.copies import csv_copy, pdf_copy
from trial.audit.forms import ReviewForm, TrailFilter
from trial.audit.review import by_risk, mark_reviewed, reviewed_to
from trial.audit.sentences import lines
from trial.audit.trail import LINES_A_PAGE, Place, page_of


def act_of_this_side() -> Act:
    """Reading the trail of the blinded side and that of the unblinded side are two acts."""
    return Act.SEE_UNBLINDED_AUDIT if settings.SIDE == "unblinded" else Act.SEE_AUDIT


def review_of_this_side() -> Act:
    """So is reviewing it."""
    return Act.REVIEW_UNBLINDED_AUDIT if settings.SIDE == "unblinded" else Act.REVIEW_AUDIT


class TrailPage(Page):
    """The trail of a study: newest first, a page at a time."""

    sensitive = "the audit trail"
    study: Study
    subject: Subject | None = None
    code_breaks = True

    def find(self, **kwargs: Any) -> None:
        self.study = get_object_or_404(studies_for(self.person), code=kwargs["code"])
        self.by = require(self.person, act_of_this_side(), self.study)

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        form = TrailFilter(
            self.study, request.GET, subject=self.subject, code_breaks=self.code_breaks
        )
        if not form.is_valid():
            return self.show(form, status=422)
        self.about = form.told()
        try:
            return self.answer(form)
        except Problem as problem:
            form.show(problem)
            return self.show(form, status=problem.status)

    def answer(self, form: TrailFilter) -> HttpResponseBase:
        before = Place.read(self.request.GET.get("before", ""))
        events = page_of(form.wanted(), before=before, size=LINES_A_PAGE + 1)
        shown = events[:LINES_A_PAGE]
        return self.show(
            form,
            lines=lines(shown, self.study, code_breaks=self.code_breaks),
            older=str(shown[-1].place) if len(events) > LINES_A_PAGE else "",
            newest=before is None,
        )

    def show(self, form: TrailFilter, *, status: int = 200, **more: Any) -> HttpResponse:
        context = {"form": form, "study": self.study, "subject": self.subject, "page": self}
        context |= {"narrowed": any(form.data.get(each) for each in form.fields)}
        return render(self.request, "trial/audit/trail.html", context | more, status=status)

    @property
    def may_review(self) -> bool:
        return self.subject is None and allowed(self.person, review_of_this_side(), self.study)

    @property
    def here(self) -> str:
        return reverse("audit", args=[self.study.code])

    @property
    def csv(self) -> str:
        return reverse("audit-csv", args=[self.study.code])

    @property
    def pdf(self) -> str:
        return reverse("audit-pdf", args=[self.study.code])


class SubjectTrail(TrailPage):
    """The trail of one subject, for who may see the subject."""

    subject: Subject

    def find(self, **kwargs: Any) -> None:
        self.subject = get_object_or_404(subjects_for(self.person), pk=kwargs["pk"])
        self.study = self.subject.study
        self.by = require(self.person, Act.SEE_SUBJECTS, self.subject.centre)
        self.code_breaks = allowed(self.person, Act.SEE_CODE_BREAKS, self.subject.centre)

    @property
    def here(self) -> str:
        return reverse("subject-audit", args=[self.subject.pk])

    csv = pdf = ""


class CsvCopy(TrailPage):
    """The filtered trail as CSV, one line for each value."""

    copied = True

    def answer(self, form: TrailFilter) -> HttpResponseBase:
        return csv_copy(form.wanted())


class PdfCopy(TrailPage):
    """The filtered trail as a tagged PDF (PDF/UA-1)."""

    copied = True

    def answer(self, form: TrailFilter) -> HttpResponseBase:
        return pdf_copy(form.wanted(), told=form.told(), by=str(self.person))


class ReviewTrail(StudyAct):
    """What is not reviewed, the highest risk first, and marking it reviewed."""

    act = Act.REVIEW_AUDIT
    form_class = ReviewForm
    template_name = "trial/audit/review.html"
    heading = "Review the audit trail"
    explain = "Lines of higher risk come first. A review is recorded and cannot be taken back."
    submit = "Mark as reviewed"
    sensitive = "the review of the audit trail"

    def back(self) -> str:
        return reverse("audit", args=[self.study.code])

    def context(self) -> dict[str, Any]:
        return {
            "study": self.study,
            "since": reviewed_to(self.study),
            "risks": [(each.risk, each.lines, each.more) for each in by_risk(self.study)],
            "reviews": Review.objects.filter(study_code=self.study.code).order_by("-until")[:20],
        }

    def perform(self, form: PortalForm) -> HttpResponse:
        mark_reviewed(self.study, by=self.by, **form.cleaned_data)
        return self.done("The review is recorded.")


class UnblindedReviewTrail(ReviewTrail):
    """The same over the trail of the unblinded side."""

    act = Act.REVIEW_UNBLINDED_AUDIT
