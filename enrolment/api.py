"""Room 1 for EDC systems: centres, subjects, screening."""

from django.http import Http404
from rest_framework.request import Request
from rest_framework.response import Response

from enrolment import examples
from enrolment.models import Centre, Subject
from enrolment.rescreening import rescreen
from enrolment.serializers import (
    CentreOut,
    CentrePage,
    RescreeningIn,
    ScreenFailureIn,
    ScreeningIn,
    SubjectDetail,
    SubjectOut,
    SubjectPage,
    SubjectQuery,
)
from enrolment.services import Screening, record_screen_failure, screen
from iwrs.api.idempotency import Answer
from iwrs.api.pagination import ByNumber, Page
from iwrs.api.schema import read_operation, write_operation
from iwrs.api.views import StudyView
from iwrs.models import Study
from iwrs.problems import Invalid


def subject_of(study: Study, number: str, *, alone: bool = False) -> Subject:
    """The subject with this number in the client's study. Raises Http404 for every other.

    `alone` reads the number and the key only, for an act that reads the rest under its lock.
    """
    rows = Subject.objects
    subjects = (
        rows.only("number") if alone else rows.select_related("centre", "study", "rescreen_of")
    )
    try:
        return subjects.get(study=study, number=number)
    except Subject.DoesNotExist:
        raise Http404 from None


def detail_of(subject: Subject) -> dict[str, object]:
    """A subject with the answers of screening, as JSON values."""
    return dict(SubjectDetail(subject).data)


class Centres(StudyView):
    """The study's centres."""

    scopes = {"GET": "subjects:read"}

    @read_operation(
        "centres_list",
        "List centres",
        "The centres of the client's study, in the order of their numbers. Only an active centre "
        "can screen and randomize.",
        answer=CentrePage,
        example={"next": None, "results": [examples.CENTRE]},
        problems=["invalid"],
        parameters=[Page],
    )
    def get(self, request: Request) -> Response:
        self.query(Page)
        pages = ByNumber()
        page = pages.paginate_queryset(Centre.objects.filter(study=self.study), request, self)
        return pages.get_paginated_response(CentreOut(page, many=True).data)


class Subjects(StudyView):
    """The study's subjects; a POST screens a new one."""

    scopes = {"GET": "subjects:read", "POST": "subjects:screen"}

    @read_operation(
        "subjects_list",
        "List subjects",
        "Subjects of the client's study, in the order of their numbers, filtered by centre and "
        "state. Follow `next` until it is null.",
        answer=SubjectPage,
        example={"next": None, "results": [examples.SUBJECT]},
        problems=["invalid"],
        parameters=[SubjectQuery],
    )
    def get(self, request: Request) -> Response:
        asked = self.query(SubjectQuery)
        subjects = Subject.objects.filter(study=self.study).select_related("centre", "rescreen_of")
        if "centre" in asked:
            subjects = subjects.filter(centre__number=asked["centre"])
        if "status" in asked:
            subjects = subjects.filter(status=asked["status"])
        pages = ByNumber()
        page = pages.paginate_queryset(subjects, request, self)
        return pages.get_paginated_response(SubjectOut(page, many=True).data)

    @write_operation(
        "subjects_screen",
        "Screen a subject",
        "Registers a subject who gave consent, with the answers known so far; the subject's "
        "number is given here. The state is `eligible` when every question is met, otherwise "
        "`screening`, and `open_questions` says which answers are missing or exclude.",
        request=ScreeningIn,
        request_example=examples.SCREENING,
        answer=SubjectDetail,
        example=examples.SUBJECT_DETAIL,
        problems=["centre_not_active", "country_not_open"],
    )
    def post(self, request: Request) -> Response:
        response = self.once(self._screen)
        response["Location"] = f"{request.path}/{response.data['number']}"
        return response

    def _screen(self) -> Answer:
        sent = self.body(ScreeningIn)
        number = sent.pop("centre")
        centre = Centre.objects.filter(study=self.study, number=number).first()
        if centre is None:
            raise Invalid({"centre": f"The study has no centre {number}."})
        return Answer(201, detail_of(screen(centre, Screening(**sent), by=self.actor)))


class OneSubject(StudyView):
    """One subject of the study."""

    scopes = {"GET": "subjects:read"}

    @read_operation(
        "subjects_read",
        "Read a subject",
        "One subject, with every answer of screening and the questions that still stand between "
        "the subject and randomization.",
        answer=SubjectDetail,
        example=examples.SUBJECT_DETAIL,
        problems=["not_found"],
    )
    def get(self, request: Request, number: str) -> Response:
        return Response(detail_of(subject_of(self.study, number)))


class ScreenFailure(StudyView):
    """The end of screening for a subject who is not randomized."""

    scopes = {"POST": "subjects:screen"}

    @write_operation(
        "subjects_screen_failure",
        "Record a screen failure",
        "Ends the screening of a subject who will not be randomized. The number stays used.",
        request=ScreenFailureIn,
        request_example={"reason": "HER2 is amplified"},
        answer=SubjectDetail,
        example=examples.SCREEN_FAILURE,
        problems=["not_found", "not_in_screening"],
    )
    def post(self, request: Request, number: str) -> Response:
        return self.once(lambda: self._record(number))

    def _record(self, number: str) -> Answer:
        subject = subject_of(self.study, number)
        sent = self.body(ScreenFailureIn)
        record_screen_failure(subject, by=self.actor, **sent)
        return Answer(201, detail_of(subject_of(self.study, number)))


class Rescreening(StudyView):
    """Another screening of a person whose first one failed."""

    scopes = {"POST": "subjects:screen"}

    @write_operation(
        "subjects_rescreen",
        "Screen a subject again",
        "Registers the person of a screen failure anew, at the same centre, under a new number "
        "that `rescreen_of` links to the old one. Every question is answered anew. The study "
        "definition says how often (`study.max_rescreenings`).",
        request=RescreeningIn,
        request_example=examples.RESCREENING,
        answer=SubjectDetail,
        example=examples.RESCREENED,
        problems=[
            *("not_found", "not_screen_failed", "rescreened", "rescreening_limit"),
            *("centre_not_active", "country_not_open"),
        ],
    )
    def post(self, request: Request, number: str) -> Response:
        response = self.once(lambda: self._screen(number))
        response["Location"] = f"/api/v1/subjects/{response.data['number']}"
        return response

    def _screen(self, number: str) -> Answer:
        before = subject_of(self.study, number)
        sent = self.body(RescreeningIn)
        return Answer(201, detail_of(rescreen(before, Screening(**sent), by=self.actor)))
