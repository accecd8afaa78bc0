"""The pages of room 1: centres, screening, screen failure, deviations.

Those by which a study is set up are in `enrolment.views_set_up`.
"""

from typing import Any

from django.core.paginator import Paginator
from django.db import IntegrityError
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse

from enrolment import services
from enrolment.access import allowed, centres_for, studies_for, subjects_for
from enrolment.forms import (
    ActivationForm,
    ChangedAnswersForm,
    DeviationForm,
    FailureForm,
    NewSubjectForm,
    ScreeningForm,
    SuspensionForm,
    answers_given,
)
from enrolment.models import Centre, Deviation, Subject
from enrolment.pages import CentreAct, Page, Signing, SubjectAct
from enrolment.records import centre_record, deviation_record
from enrolment.rescreening import rescreen
from iwrs.acts import frame
from iwrs.forms import PortalForm
from iwrs.models import IdempotencyRecord
from iwrs.permissions import Act
from iwrs.problems import Problem
from iwrs.signatures import Record
from iwrs.signatures.services import signatures_of

CENTRES_A_PAGE = 50
APPROVAL_MEANING = "I approve this deviation from the eligibility criteria"


class CentreList(Page):
    """Centres in scope, with how many subjects each has."""

    def get(self, request: HttpRequest) -> HttpResponse:
        asked = request.GET.get("q", "").strip()
        centres = centres_for(self.person).order_by("study__code", "number")
        if asked:
            centres = centres.filter(
                Q(number__startswith=asked)
                | Q(name__icontains=asked)
                | Q(country_name__icontains=asked)
            )
        page = Paginator(_counted(centres), CENTRES_A_PAGE).get_page(request.GET.get("page"))
        may_add = studies_for(self.person, Act.MANAGE_CENTRES)
        context = {"page": page, "q": asked, "may_add": may_add}
        return render(request, "enrolment/centres.html", context)


def _counted(centres: Any) -> Any:
    screening = Q(subjects__status__in=[Subject.Status.SCREENING, Subject.Status.ELIGIBLE])
    randomized = Q(subjects__status=Subject.Status.RANDOMIZED)
    return centres.annotate(
        in_screening=Count("subjects", filter=screening),
        randomized=Count("subjects", filter=randomized),
    )


class CentrePage(Page):
    """One centre: its state, its numbers, and what may be done there."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        centre = get_object_or_404(_counted(centres_for(self.person)), pk=pk)
        active = centre.status == Centre.Status.ACTIVE
        manages = allowed(self.person, Act.MANAGE_CENTRES, centre)
        context = {
            "centre": centre,
            "may_screen": active and allowed(self.person, Act.SCREEN, centre),
            "may_activate": manages and not active and centre.status != Centre.Status.CLOSED,
            "may_suspend": manages and active,
            "may_close": manages and centre.status != Centre.Status.CLOSED,
            "may_practise": allowed(self.person, Act.PRACTISE_CODE_BREAK, centre)
            and centre.status != Centre.Status.CLOSED,
            "drill": centre.drills.filter(finished_at__isnull=False).order_by("finished_at").last(),
            "signatures": signatures_of([centre_record(centre)]),
            "may_manage_people": allowed(self.person, Act.MANAGE_PEOPLE, centre),
            "may_see_people": allowed(self.person, Act.SEE_PEOPLE, centre),
        }
        return render(request, "enrolment/centre.html", context)


class ActivateCentre(Signing, CentreAct):
    act = Act.MANAGE_CENTRES
    template_name = "enrolment/activate.html"
    meaning = "I checked the ethics approval and let this centre enrol"
    form_class = ActivationForm
    heading = "Activate the centre"
    explain = "An active centre can screen and randomize subjects."
    submit = "Sign and activate"

    def record(self) -> Record:
        return centre_record(self.centre)

    def form(self, typed: Any = None) -> PortalForm:
        return ActivationForm(typed, initial={"ethics_approved_on": self.centre.ethics_approved_on})

    def perform(self, form: PortalForm) -> HttpResponse:
        services.activate_centre(
            self.centre,
            by=self.by,
            ethics_approved_on=form.cleaned_data["ethics_approved_on"],
            signature=self.sign(form),
        )
        return self.done("The centre is active.")


class SuspendCentre(CentreAct):
    act = Act.MANAGE_CENTRES
    form_class = SuspensionForm
    heading = "Suspend the centre"
    explain = "No new subjects until it is active again. Subjects in the study go on."
    submit = "Suspend"

    def perform(self, form: PortalForm) -> HttpResponse:
        services.suspend_centre(self.centre, by=self.by, why=form.cleaned_data["why"])
        return self.done("The centre is suspended.")


class ScreenSubject(CentreAct):
    """Register a subject: one page, and sending it twice registers one subject."""

    act = Act.SCREEN
    template_name = "enrolment/screening.html"
    heading = "Screen a subject"
    explain = "The subject's number is given when you save. Do not write names anywhere."
    submit = "Save screening"

    def form(self, typed: Any = None) -> PortalForm:
        return NewSubjectForm(self.centre.study.definition, typed)

    def perform(self, form: NewSubjectForm) -> HttpResponse:  # type: ignore[override]
        client, key = f"person {self.person.pk}", str(form.cleaned_data["once"])
        first = IdempotencyRecord.objects.filter(client=client, key=key).first()
        if first is None:
            try:
                return self._register(form, client, key)
            except IntegrityError:
                # The same page, sent twice at once: the other one won.
                first = IdempotencyRecord.objects.get(client=client, key=key)
        subject = Subject.objects.get(pk=first.body["subject"])
        if first.request_sha256 != form.fingerprint():
            raise Problem(
                code="form_sent",
                title=f"This page was sent before, and subject {subject.number} is registered.",
                action="Now it has other answers. Change the answers on the subject's page.",
            )
        return self._registered(subject, "This page was sent before. Here is the first answer.")

    def _register(self, form: NewSubjectForm, client: str, key: str) -> HttpResponse:
        with frame():
            subject = services.screen(self.centre, form.screening(), by=self.by)
            IdempotencyRecord.objects.create(
                client=client,
                key=key,
                request_sha256=form.fingerprint(),
                status=201,
                body={"subject": subject.pk},
            )
        return self._registered(subject, f"Subject {subject.number} is registered.")

    def _registered(self, subject: Subject, text: str) -> HttpResponse:
        return self.done(text, reverse("subject", args=[subject.pk]))


class ChangeAnswers(SubjectAct):
    act = Act.SCREEN
    template_name = "enrolment/screening.html"
    heading = "Change screening answers"
    submit = "Save changes"

    def form(self, typed: Any = None) -> PortalForm:
        definition = self.subject.study.definition
        return ChangedAnswersForm(definition, typed, initial=answers_given(self.subject))

    def perform(self, form: ChangedAnswersForm) -> HttpResponse:  # type: ignore[override]
        why = form.cleaned_data["why"]
        services.change_answers(self.subject, form.screening(), by=self.by, why=why)
        return self.done("The answers are saved.")


class RecordFailure(SubjectAct):
    act = Act.SCREEN
    form_class = FailureForm
    heading = "Record a screen failure"
    explain = (
        "The subject will not be randomized. The number stays used. This cannot be undone. A "
        "subject who was randomized on paper is no screen failure: enter the randomization instead."
    )
    submit = "Record screen failure"
    grave = True

    def perform(self, form: PortalForm) -> HttpResponse:
        services.record_screen_failure(self.subject, by=self.by, reason=form.cleaned_data["reason"])
        return self.done("The screen failure is recorded.")


class Rescreen(SubjectAct):
    """Screen a person again after a screen failure, under a new number."""

    act = Act.SCREEN
    template_name = "enrolment/screening.html"
    heading = "Screen the subject again"
    explain = (
        "The subject gets a new number, linked to this one. What was answered before stays with "
        "the old number: answer every question anew."
    )
    submit = "Save screening"

    def form(self, typed: Any = None) -> PortalForm:
        return ScreeningForm(self.subject.study.definition, typed)

    def perform(self, form: ScreeningForm) -> HttpResponse:  # type: ignore[override]
        made = rescreen(self.subject, form.screening(), by=self.by)
        text = f"Subject {made.number} is registered. Before: {self.subject.number}."
        return self.done(text, reverse("subject", args=[made.pk]))


class RequestDeviation(SubjectAct):
    act = Act.REQUEST_DEVIATION
    heading = "Ask for a deviation"
    explain = "Another person must approve it, with a signature, before randomization."
    submit = "Send the request"

    def form(self, typed: Any = None) -> PortalForm:
        questions = [
            (each.criterion.key, each.criterion.question)
            for each in services.open_questions(self.subject)
            if each.criterion.deviation_allowed
        ]
        return DeviationForm(questions, typed)

    def perform(self, form: PortalForm) -> HttpResponse:
        services.request_deviation(self.subject, by=self.by, **form.cleaned_data)
        return self.done("The request is recorded. It waits for approval.")


class ApproveDeviation(Signing, SubjectAct):
    act = Act.APPROVE_DEVIATION
    meaning = APPROVAL_MEANING
    template_name = "enrolment/approve_deviation.html"
    heading = "Approve a deviation"
    submit = "Sign and approve"
    deviation: Deviation

    def find(self, **kwargs: Any) -> None:
        within = Deviation.objects.filter(subject__in=subjects_for(self.person))
        self.deviation = get_object_or_404(
            within.select_related("subject__centre__study", "subject__study"), pk=kwargs["pk"]
        )
        self.found(self.deviation.subject)

    def context(self) -> dict[str, Any]:
        criteria = {c.key: c.question for c in self.subject.study.definition.eligibility}
        return {
            "subject": self.subject,
            "deviation": self.deviation,
            "question": criteria.get(self.deviation.question, self.deviation.question),
        }

    def record(self) -> Record:
        return deviation_record(self.deviation)

    def perform(self, form: PortalForm) -> HttpResponse:
        signature = self.sign(form)
        services.approve_deviation(self.deviation, by=self.by, signature=signature)
        return self.done("The deviation is approved.")
