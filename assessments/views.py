"""The pages of room 4: visits, central reads, events, contacts."""

from typing import Any

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404

from assessments import services
from assessments.forms import CentralReadForm, ContactForm, EventForm, MissForm, VisitForm
from assessments.models import SubjectEvent, TumourRead, Visit
from enrolment.access import subjects_for
from enrolment.pages import SubjectAct
from iwrs.forms import PortalForm
from iwrs.permissions import Act
from iwrs.templatetags.portal import day

EXPLAIN = {
    SubjectEvent.Kind.NEW_THERAPY: "The planned visits go on.",
    SubjectEvent.Kind.WITHDRAWAL: "The subject leaves the study. Planned visits and kits end. "
    "Stopping a drug is something else: use the stop of that drug.",
    SubjectEvent.Kind.DEATH: "Planned visits and kits end.",
    SubjectEvent.Kind.LOST: "The day of the last attempt to reach the subject. "
    "Planned visits and kits end.",
}


class VisitAct(SubjectAct):
    """An act on one planned visit."""

    act = Act.RECORD_COURSE
    visit: Visit

    def find(self, **kwargs: Any) -> None:
        within = Visit.objects.filter(subject__in=subjects_for(self.person))
        self.visit = get_object_or_404(
            within.select_related("subject__centre__study", "subject__study"), pk=kwargs["pk"]
        )
        self.found(self.visit.subject)

    @property
    def explain(self) -> str:  # type: ignore[override]
        window = f"{day(self.visit.window_from)} to {day(self.visit.window_to)}"
        return f"Due on {day(self.visit.due_on)}. The window is {window}."


class RecordVisit(VisitAct):
    form_class = VisitForm
    submit = "Record the visit"

    @property
    def heading(self) -> str:  # type: ignore[override]
        return f"Record visit {self.visit.number}"

    def perform(self, form: PortalForm) -> HttpResponse:
        services.record_visit(self.visit, by=self.by, **form.cleaned_data)
        return self.done(f"Visit {self.visit.number} is recorded.")


class MissVisit(VisitAct):
    form_class = MissForm
    submit = "Record as missed"

    @property
    def heading(self) -> str:  # type: ignore[override]
        return f"Visit {self.visit.number} did not take place"

    def perform(self, form: PortalForm) -> HttpResponse:
        services.miss_visit(self.visit, by=self.by, why=form.cleaned_data["why"])
        return self.done(f"Visit {self.visit.number} is recorded as missed.")


class RecordCentralRead(SubjectAct):
    act = Act.RECORD_CENTRAL_READ
    form_class = CentralReadForm
    heading = "Record a central read"

    @property
    def explain(self) -> str:  # type: ignore[override]
        read = self.subject.reads.filter(reader=TumourRead.Reader.CENTRAL)
        scans = self.subject.visits.filter(done_on__isnull=False)
        waiting = scans.exclude(done_on__in=read.values("assessed_on")).order_by("done_on")
        days = ", ".join(day(each) for each in waiting.values_list("done_on", flat=True))
        return f"Visits without a central read: {days or 'none'}."

    def perform(self, form: PortalForm) -> HttpResponse:
        services.record_read(
            self.subject, TumourRead.Reader.CENTRAL, by=self.by, **form.cleaned_data
        )
        return self.done("The central read is recorded.")


class RecordEvent(SubjectAct):
    act = Act.RECORD_COURSE
    form_class = EventForm
    submit = "Record"
    kind: SubjectEvent.Kind

    def find(self, **kwargs: Any) -> None:
        super().find(**kwargs)
        if kwargs["kind"] not in SubjectEvent.Kind.values:
            raise Http404
        self.kind = SubjectEvent.Kind(kwargs["kind"])
        self.grave = self.kind != SubjectEvent.Kind.NEW_THERAPY  # type: ignore[misc]

    @property
    def heading(self) -> str:  # type: ignore[override]
        return f"Record: {self.kind.label}"

    @property
    def explain(self) -> str:  # type: ignore[override]
        return EXPLAIN[self.kind]

    def perform(self, form: PortalForm) -> HttpResponse:
        services.record_event(self.subject, self.kind, by=self.by, **form.cleaned_data)
        return self.done(f"{self.kind.label} is recorded.")


class RecordContact(SubjectAct):
    act = Act.RECORD_COURSE
    form_class = ContactForm
    heading = "Record the last contact"

    def perform(self, form: PortalForm) -> HttpResponse:
        services.record_contact(self.subject, by=self.by, on=form.cleaned_data["on"])
        return self.done("The contact is recorded.")
