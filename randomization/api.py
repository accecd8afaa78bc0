"""Room 2 for EDC systems: what was found to be wrong with a randomization."""

from rest_framework.request import Request
from rest_framework.response import Response

from enrolment.api import subject_of
from iwrs.api.problems import ApiProblem
from iwrs.api.schema import read_operation
from iwrs.api.views import StudyView
from randomization.models import Randomization
from randomization.serializers import MarksOut

EXAMPLE = {
    "in_error": None,
    "verified_strata": [
        {
            "levels": {"visceral": "no", "sensitive": "yes"},
            "reason": "Second reading of the CT",
            "verified_at": "2010-03-09T10:02:11Z",
        }
    ],
}


class Marks(StudyView):
    """What was found to be wrong with the randomization of one subject."""

    scopes = {"GET": "subjects:read"}

    @read_operation(
        "randomization_marks",
        "Read what was wrong with a randomization",
        "The mark of a subject who was randomized in error, and the verified stratum, the newest "
        "last. People record both on the portal and sign them. What the allocation used stays "
        "under `randomization`. 404 `not_randomized` when the subject is not randomized.",
        answer=MarksOut,
        example=EXAMPLE,
        problems=["not_found"],
    )
    def get(self, request: Request, number: str) -> Response:
        subject = subject_of(self.study, number, alone=True)
        found = Randomization.objects.filter(subject=subject).select_related("in_error").first()
        if found is None:
            title = f"Subject {subject.number} is not randomized."
            raise ApiProblem("not_randomized", title, status=404)
        return Response(MarksOut(found).data)
