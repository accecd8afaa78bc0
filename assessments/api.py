"""Room 4 for EDC systems: visits, tumour reads, events, contacts."""

from django.http import Http404
from rest_framework.request import Request
from rest_framework.response import Response

from assessments import examples
from assessments.models import Visit
from assessments.serializers import (
    ContactOut,
    EventIn,
    EventOut,
    MissedVisitIn,
    ReadIn,
    ReadOut,
    VisitList,
    VisitOut,
    VisitReportIn,
)
from assessments.services import (
    miss_visit,
    record_contact,
    record_event,
    record_read,
    record_visit,
)
from dispensing.serializers import OnDay
from enrolment.api import subject_of
from iwrs.api.idempotency import Answer
from iwrs.api.schema import read_operation, write_operation
from iwrs.api.views import StudyView
from iwrs.models import Study


def visit_of(study: Study, number: str, n: int) -> Visit:
    """Visit `n` of the subject with this number in the client's study, or Http404."""
    visits = Visit.objects.select_related("dispensation")
    found = visits.filter(subject__study=study, subject__number=number, number=n).first()
    if found is None:
        raise Http404
    return found


class Visits(StudyView):
    """The visits of a subject."""

    scopes = {"GET": "subjects:read"}

    @read_operation(
        "visits_list",
        "List visits",
        "The planned and past assessments of a subject, in order. New ones are planned as visits "
        "are reported, so read the list again after a report.",
        answer=VisitList,
        example={"results": [examples.VISIT]},
        problems=["not_found"],
    )
    def get(self, request: Request, number: str) -> Response:
        subject = subject_of(self.study, number)
        found = subject.visits.select_related("dispensation").order_by("number")
        return Response({"results": VisitOut(found, many=True).data})


class VisitReport(StudyView):
    """What happened at a visit."""

    scopes = {"POST": "assessments:report"}

    @write_operation(
        "visits_report",
        "Report a visit",
        "Records that a visit took place, with the local investigator's overall response, "
        "performance status and quality of life where they are known. A progression (`PD`) ends "
        "the schedule; every other report keeps the planned number of visits ahead.",
        request=VisitReportIn,
        request_example=examples.VISIT_REPORT,
        answer=VisitOut,
        example=examples.VISIT,
        problems=["not_found", "visit_closed", "read_known"],
    )
    def post(self, request: Request, number: str, n: int) -> Response:
        return self.once(lambda: self._report(number, n))

    def _report(self, number: str, n: int) -> Answer:
        visit = visit_of(self.study, number, n)
        record_visit(visit, by=self.actor, **self.body(VisitReportIn))
        return Answer(201, dict(VisitOut(visit_of(self.study, number, n)).data))


class MissedVisit(StudyView):
    """A visit that did not take place."""

    scopes = {"POST": "assessments:report"}

    @write_operation(
        "visits_missed",
        "Record a missed visit",
        "Records that a visit did not take place. The next visits stay where they are.",
        request=MissedVisitIn,
        request_example={"why": "The subject was on holiday"},
        answer=VisitOut,
        example=examples.MISSED,
        problems=["not_found", "visit_closed"],
    )
    def post(self, request: Request, number: str, n: int) -> Response:
        return self.once(lambda: self._record(number, n))

    def _record(self, number: str, n: int) -> Answer:
        visit = visit_of(self.study, number, n)
        miss_visit(visit, by=self.actor, **self.body(MissedVisitIn))
        return Answer(201, dict(VisitOut(visit_of(self.study, number, n)).data))


class Reads(StudyView):
    """Tumour reads, local and central."""

    scopes = {"POST": "assessments:report"}

    @write_operation(
        "reads_record",
        "Report a tumour read",
        "Records the overall response that one reader, local or central, gave for the scan of one "
        "day (RECIST 1.0). A local progression ends the six-weekly schedule; a central one alone "
        "does not.",
        request=ReadIn,
        request_example=examples.READ,
        answer=ReadOut,
        example={**examples.READ, "visit": 1},
        problems=["not_found", "not_randomized", "read_known"],
    )
    def post(self, request: Request, number: str) -> Response:
        return self.once(lambda: self._record(number))

    def _record(self, number: str) -> Answer:
        subject = subject_of(self.study, number)
        read = record_read(subject, by=self.actor, **self.body(ReadIn))
        return Answer(201, dict(ReadOut(read).data))


class Events(StudyView):
    """Events of a subject."""

    scopes = {"POST": "assessments:report"}

    @write_operation(
        "events_record",
        "Report an event",
        "Records a new anticancer therapy, a withdrawal of consent, a loss to follow-up or a "
        "death; each happens once. All but a new therapy end visits and dispensations ahead.",
        request=EventIn,
        request_example=examples.EVENT,
        answer=EventOut,
        example=examples.EVENT,
        problems=["not_found", "not_randomized", "event_known"],
    )
    def post(self, request: Request, number: str) -> Response:
        return self.once(lambda: self._record(number))

    def _record(self, number: str) -> Answer:
        subject = subject_of(self.study, number)
        event = record_event(subject, by=self.actor, **self.body(EventIn))
        return Answer(201, dict(EventOut(event).data))


class Contacts(StudyView):
    """Days on which a subject was known to be alive."""

    scopes = {"POST": "assessments:report"}

    @write_operation(
        "contacts_record",
        "Report a contact",
        "Records a day on which the subject was known to be alive, for survival. Reporting the "
        "same day again changes nothing.",
        request=OnDay,
        request_example={"on": "2010-12-01"},
        answer=ContactOut,
        example={"on": "2010-12-01"},
        problems=["not_found", "not_randomized"],
    )
    def post(self, request: Request, number: str) -> Response:
        return self.once(lambda: self._record(number))

    def _record(self, number: str) -> Answer:
        subject = subject_of(self.study, number)
        contact = record_contact(subject, by=self.actor, **self.body(OnDay))
        return Answer(201, dict(ContactOut(contact).data))
