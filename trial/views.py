"""The front of the house: home, subjects, randomize, accrual."""

from typing import Any

from django.core.paginator import Paginator
from django.db.models import Min, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from assessments.corrections.services import correction_record
from assessments.services import OPEN
from dispensing.records import reduction_record
from dsmb.services import waiting_for_release
from enrolment.access import allowed, centres_for, held_roles, studies_for, subjects_for
from enrolment.access_review import EVERY, is_due, last_review
from enrolment.caps import fillings
from enrolment.models import Deviation, Subject
from enrolment.pages import Page, Signing, StudyAct, SubjectAct
from enrolment.records import deviation_record, screening_record
from iwrs import clock
from iwrs.forms import PortalForm
from iwrs.permissions import Act
from iwrs.problems import Problem
from iwrs.signatures import Record
from iwrs.signatures.services import Shown, signatures_of
from randomization.records import code_break_record
from trial.accrual import chart, months_of
from trial.confirming import randomized_record, unconfirmed_of, with_something_unconfirmed
from trial.forms import UNCONFIRMED, SubjectFilter
from trial.marked import marks_signed, verified_as_read
from trial.next_steps import next_steps
from trial.services import first_answer, not_ready, randomize
from trial.timeline import timeline
from trial.worklist import overdue_visits, work_of

SUBJECTS_A_PAGE = 25
WITH_THE_SUBJECT: list[str] = [
    "dispensations__kit__lot",
    "visits__reads",
    "reads",
    "events",
    "contacts",
    "drug_stops",
    "dose_reductions",
    "deviations",
    "first_doses",
    "randomization__verified_strata",
    "eligibility",
    "corrections",
]


class Home(Page):
    """What waits for this person: at their centres, and in their studies."""

    def get(self, request: HttpRequest) -> HttpResponse:
        at_centres = [each.centre_id for each in held_roles(self.person) if each.centre_id]
        centres = centres_for(self.person, Act.SEE_SUBJECTS).filter(pk__in=at_centres)
        to_screen = {each.pk for each in centres_for(self.person, Act.SCREEN)}
        to_confirm = {each.pk for each in centres_for(self.person, Act.CONFIRM)}
        waiting = Deviation.objects.filter(
            subject__in=subjects_for(self.person, Act.APPROVE_DEVIATION),
            subject__status=Subject.Status.SCREENING,
            approved_at__isnull=True,
        )
        context = {
            "work": work_of(list(centres), to_confirm),
            "to_screen": to_screen,
            "studies": [self._study(study) for study in studies_for(self.person, Act.SEE_ACCRUAL)],
            "extracts": waiting_for_release(studies_for(self.person, Act.RELEASE_EXTRACT)),
            "deviations": waiting.select_related("subject__centre").order_by("requested_at")[:20],
        }
        return render(request, "trial/home.html", context)

    def _study(self, study: Any) -> dict[str, Any]:
        centres = centres_for(self.person).filter(study=study)
        return {
            "study": study,
            "planned": study.definition.study.planned_subjects,
            "randomized": study.randomizations.count(),
            "screening": study.subjects.filter(status__in=["screening", "eligible"]).count(),
            "active": centres.filter(status="active").count(),
            "centres": centres.count(),
            "overdue": overdue_visits(centres),
            "may_read_open": allowed(self.person, Act.SEE_OPEN_REPORT, study),
            "may_see_access": allowed(self.person, Act.SEE_PEOPLE, study),
            "access_due": allowed(self.person, Act.REVIEW_ACCESS, study)
            and is_due(last_review(study)),
            "access_days": EVERY.days,
        }


class SubjectList(Page):
    """Subjects in scope; with htmx only the results are sent."""

    def get(self, request: HttpRequest) -> HttpResponse:
        form = SubjectFilter(request.GET)
        subjects = _narrowed(subjects_for(self.person), form)
        page = Paginator(subjects, SUBJECTS_A_PAGE).get_page(request.GET.get("page"))
        template = "trial/subjects.html"
        if request.htmx:  # type: ignore[attr-defined]
            template = "trial/subject_results.html"
        return render(request, template, {"page": page, "form": form})


def _narrowed(subjects: QuerySet[Subject], form: SubjectFilter) -> QuerySet[Subject]:
    form.is_valid()
    asked = form.cleaned_data
    if asked.get("q"):
        subjects = subjects.filter(number__icontains=asked["q"].strip())
    if asked.get("status") == UNCONFIRMED:
        subjects = subjects.filter(with_something_unconfirmed())
    elif asked.get("status"):
        subjects = subjects.filter(status=asked["status"])
    if asked.get("centre"):
        subjects = subjects.filter(centre_id=asked["centre"])
    next_visit = Min("visits__due_on", filter=Q(visits__status__in=OPEN))
    return subjects.annotate(next_visit=next_visit).order_by("study_id", "number")


class SubjectPage(Page):
    """One subject: state, what can be done next, and everything recorded."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        found = subjects_for(self.person).select_related(
            "randomization__in_error", "randomization__late_entry", "rescreen_of", "rescreened_as"
        )
        found = found.prefetch_related(*WITH_THE_SUBJECT)
        subject = get_object_or_404(found, pk=pk)
        definition = subject.study.definition
        may = {act for act in Act if allowed(self.person, act, subject.centre)}
        sees_breaks = Act.SEE_CODE_BREAKS in may
        steps = next_steps(subject, definition, may, clock.today(subject.centre.time_zone))
        context = {
            "subject": subject,
            "steps": [each for each in steps if each.now],
            "more": [each for each in steps if not each.now],
            "answers": answers_as_read(subject, definition),
            "unanswered": self._unanswered(subject),
            "unconfirmed": unconfirmed_of(subject),
            "may_confirm": Act.CONFIRM in may,
            "verified": verified_as_read(subject, definition),
            "code_broken": sees_breaks and subject.unblinded_at is not None,
            "signatures": self._signatures(subject, sees_breaks),
            "timeline": timeline(subject, definition, code_breaks=sees_breaks),
        }
        return render(request, "trial/subject.html", context)

    @staticmethod
    def _signatures(subject: Subject, code_breaks: bool) -> list[Shown]:
        records = [randomized_record(subject)]
        records += [deviation_record(each) for each in subject.deviations.all()]
        records += [reduction_record(each) for each in subject.dose_reductions.all()]
        records += [correction_record(each) for each in subject.corrections.all()]
        records += marks_signed(subject)
        if code_breaks:
            records += [code_break_record(each) for each in subject.code_breaks.all()]
        return signatures_of(records)

    @staticmethod
    def _unanswered(subject: Subject) -> list[str]:
        if subject.status != Subject.Status.SCREENING:
            return []
        return list(not_ready(subject).errors.values())


def answers_as_read(subject: Subject, definition: Any) -> list[tuple[str, str, str]]:
    """(part, question, answer) of screening, in the words of the definition.

    What was answered to a question that a later study file dropped stays in the record that is
    signed, and is shown by the question's key.
    """
    rows = []
    for factor in definition.factors:
        labels = {each.key: each.label for each in factor.levels}
        answer = labels.get(subject.strata.get(factor.key, ""), "Not answered")
        rows.append(("Stratification", factor.question, answer))
    given = {each.question: each.get_answer_display() for each in subject.eligibility.all()}
    rows += [
        ("Eligibility", each.question, given.get(each.key, "Not answered"))
        for each in definition.eligibility
    ]
    asked = {each.key for each in definition.eligibility}
    rows += [("Eligibility", key, said) for key, said in given.items() if key not in asked]
    for item in definition.baseline:
        value = subject.baseline.get(item.key)
        if value not in (None, ""):
            labels = {each.key: each.label for each in item.choices}
            shown = labels.get(str(value), f"{value} {item.unit or ''}".strip())
            rows.append(("Baseline", item.question, shown))
    asked = {item.key for item in definition.baseline}
    rows += [
        ("Baseline", key, str(said))
        for key, said in subject.baseline.items()
        if key not in asked and said not in (None, "")
    ]
    return rows


class Randomize(Signing, SubjectAct):
    """Check the answers (GET), then sign and randomize (POST). Twice gives the first answer."""

    act = Act.RANDOMIZE
    template_name = "trial/randomize.html"
    heading = "Check the answers, then randomize"
    grave = True
    meaning = "I checked these answers and randomize this subject"

    @property
    def submit(self) -> str:  # type: ignore[override]
        return f"Sign and randomize subject {self.subject.number}"

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if self.subject.status == Subject.Status.RANDOMIZED:
            return redirect("randomized", pk=self.subject.pk)
        return super().get(request, **kwargs)

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if self.subject.status == Subject.Status.RANDOMIZED:
            return self._confirmed(first_time=False)
        if self.subject.status != Subject.Status.ELIGIBLE:  # there is nothing to sign yet
            form = PortalForm(request.POST)
            form.is_valid()
            form.show(self._why_not())
            return self.show(form, status=409)
        return super().post(request, **kwargs)

    def context(self) -> dict[str, Any]:
        ready = self.subject.status == Subject.Status.ELIGIBLE
        return {
            "subject": self.subject,
            "answers": answers_as_read(self.subject, self.subject.study.definition),
            "problem": None if ready else self._why_not(),
        }

    def record(self) -> Record:
        return screening_record(self.subject)

    def _why_not(self) -> Problem:
        if self.subject.status == Subject.Status.SCREEN_FAILED:
            return Problem(code="screen_failed", title="The subject is a screen failure.")
        return not_ready(self.subject)

    def perform(self, form: PortalForm) -> HttpResponse:
        result = randomize(self.subject, by=self.by, signature=self.sign(form))
        return self._confirmed(first_time=result.first_time)

    def _confirmed(self, *, first_time: bool) -> HttpResponse:
        again = "" if first_time else "?again=1"
        return HttpResponseRedirect(reverse("randomized", args=[self.subject.pk]) + again)


class Randomized(Page):
    """The confirmation: number, kit, expiry, first visit. Open again at any time."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        subject = get_object_or_404(subjects_for(self.person), pk=pk)
        if subject.status != Subject.Status.RANDOMIZED:
            return redirect("subject", pk=subject.pk)
        first = subject.dispensations.filter(number=0).first()
        context = {
            "subject": subject,
            "result": first_answer(subject),
            "dispensation": first,
            "to_hand_over": first is not None
            and first.status == first.Status.ASSIGNED
            and allowed(self.person, Act.DISPENSE, subject.centre),
            "visit": subject.visits.order_by("number").first(),
            "again": "again" in request.GET,
        }
        return render(request, "trial/randomized.html", context)


class Accrual(StudyAct):
    """How many subjects are randomized, month by month, against the plan."""

    act = Act.SEE_ACCRUAL

    def get(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        planned = self.study.definition.study.planned_subjects
        months = months_of(self.study, clock.today())
        context = {
            "study": self.study,
            "may_change": allowed(self.person, Act.MANAGE_ACCRUAL, self.study),
            "months": months,
            "total": months[-1].total if months else 0,
            "planned": planned,
            "chart": chart(months, planned) if months else None,
            "limits": fillings(self.study),
            "countries": self.study.countries.exclude(status="open").order_by("country_code"),
        }
        return render(request, "trial/accrual.html", context)

    def post(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        return self.http_method_not_allowed(request)
