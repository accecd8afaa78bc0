"""The addresses under /api/: tokens, the EDC endpoints, and their documentation."""

from django.urls import path, re_path, register_converter
from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView

from assessments import api as assessments
from dispensing import api as dispensing
from enrolment import api as enrolment
from iwrs.api.token import Tokens
from iwrs.api.views import Nowhere
from randomization import api as randomization
from trial import api as trial


class SubjectNumber:
    """A subject number in an address: centre number, dash, sequence."""

    regex = r"[0-9]{4}-[0-9]{3,7}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class Sequence:
    """The number of a visit or dispensation in an address."""

    regex = r"[0-9]{1,4}"

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


register_converter(SubjectNumber, "subject")
register_converter(Sequence, "sequence")

_subject = "v1/subjects/<subject:number>"
_dispensation = f"{_subject}/dispensations/<sequence:n>"
_visit = f"{_subject}/visits/<sequence:n>"

urlpatterns = [
    path("oauth/token", Tokens.as_view(), name="api-token"),
    path("v1/centres", enrolment.Centres.as_view()),
    path("v1/subjects", enrolment.Subjects.as_view()),
    path(_subject, enrolment.OneSubject.as_view()),
    path(f"{_subject}/screen-failure", enrolment.ScreenFailure.as_view()),
    path(f"{_subject}/rescreening", enrolment.Rescreening.as_view()),
    path(f"{_subject}/randomization", trial.Randomizations.as_view()),
    path(f"{_subject}/randomization/marks", randomization.Marks.as_view()),
    path(f"{_subject}/dispensations", dispensing.Dispensations.as_view()),
    path(f"{_dispensation}/assignment", dispensing.Assignment.as_view()),
    path(f"{_dispensation}/hand-over", dispensing.HandOver.as_view()),
    path(f"{_subject}/first-dose", dispensing.FirstDoses.as_view()),
    path(f"{_subject}/dose-reductions", dispensing.DoseReductions.as_view()),
    path(f"{_subject}/drug-stops", dispensing.DrugStops.as_view()),
    path(f"{_subject}/visits", assessments.Visits.as_view()),
    path(f"{_visit}/report", assessments.VisitReport.as_view()),
    path(f"{_visit}/missed", assessments.MissedVisit.as_view()),
    path(f"{_subject}/reads", assessments.Reads.as_view()),
    path(f"{_subject}/events", assessments.Events.as_view()),
    path(f"{_subject}/contacts", assessments.Contacts.as_view()),
    path("v1/openapi.json", SpectacularJSONAPIView.as_view(), name="api-schema"),
    path(
        "v1/docs/",
        SpectacularSwaggerSplitView.as_view(
            url_name="api-schema", template_name="api/docs.html", title="IWRS API"
        ),
        name="api-docs",
    ),
    path("v1/problems/", trial.problem_page, name="api-problems"),
    path("v1/problems/<slug:code>", trial.problem_page, name="api-problem"),
    re_path(r"", Nowhere.as_view()),
]
