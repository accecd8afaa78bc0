"""Room 3 for EDC systems: which kit, when it was handed over, first dose, stop of a drug."""

from django.http import Http404
from rest_framework.request import Request
from rest_framework.response import Response

from dispensing import examples
from dispensing.doses import reduce_dose
from dispensing.models import Dispensation
from dispensing.serializers import (
    DispensationList,
    DispensationOut,
    DoseReductionIn,
    DoseReductionOut,
    DrugStopIn,
    DrugStopOut,
    FirstDoseOut,
    OnDay,
)
from dispensing.services import dispense, hand_over, record_first_dose, stop_drug
from enrolment.api import subject_of
from iwrs.api.idempotency import Answer
from iwrs.api.schema import read_operation, write_operation
from iwrs.api.serializers import NoBody
from iwrs.api.views import StudyView
from iwrs.models import Study


def dispensation_of(study: Study, number: str, n: int) -> Dispensation:
    """Dispensation `n` of the subject with this number in the client's study, or Http404."""
    dispensations = Dispensation.objects.select_related("kit__lot")
    found = dispensations.filter(subject__study=study, subject__number=number, number=n).first()
    if found is None:
        raise Http404
    return found


class Dispensations(StudyView):
    """The dispensations of a subject."""

    scopes = {"GET": "subjects:read"}

    @read_operation(
        "dispensations_list",
        "List dispensations",
        "Every planned and past supply of blinded drug to a subject. Number 0 is the one at "
        "randomization, then the number is that of the visit.",
        answer=DispensationList,
        example={"results": [examples.HANDED_OVER]},
        problems=["not_found"],
    )
    def get(self, request: Request, number: str) -> Response:
        subject = subject_of(self.study, number)
        found = subject.dispensations.select_related("kit__lot").order_by("number")
        return Response({"results": DispensationOut(found, many=True).data})


class Assignment(StudyView):
    """The kit of one dispensation."""

    scopes = {"POST": "kits:dispense"}

    @write_operation(
        "dispensations_assign",
        "Assign a kit",
        "Assigns the kit of a due dispensation. Asking again gives the same kit. Which box is in "
        "the answer says nothing of the treatment.",
        request=NoBody,
        request_example={},
        answer=DispensationOut,
        example=examples.ASSIGNED,
        status=200,
        problems=["not_found", "dispensation_cancelled", "too_early", "no_kit", "gate_alarm"],
    )
    def post(self, request: Request, number: str, n: int) -> Response:
        return self.once(lambda: self._assign(number, n))

    def _assign(self, number: str, n: int) -> Answer:
        found = dispensation_of(self.study, number, n)
        self.body(NoBody)
        dispense(found, by=self.actor)
        return Answer(200, dict(DispensationOut(dispensation_of(self.study, number, n)).data))


class HandOver(StudyView):
    """The hand-over of an assigned kit to the subject."""

    scopes = {"POST": "kits:dispense"}

    @write_operation(
        "dispensations_hand_over",
        "Record a hand-over",
        "Records that the assigned kit was given to the subject. A second record changes nothing "
        "and gives the first.",
        request=OnDay,
        request_example={"on": "2010-04-12"},
        answer=DispensationOut,
        example=examples.HANDED_OVER,
        status=200,
        problems=["not_found", "no_kit_assigned"],
    )
    def post(self, request: Request, number: str, n: int) -> Response:
        return self.once(lambda: self._hand_over(number, n))

    def _hand_over(self, number: str, n: int) -> Answer:
        found = dispensation_of(self.study, number, n)
        hand_over(found, by=self.actor, **self.body(OnDay))
        return Answer(200, dict(DispensationOut(dispensation_of(self.study, number, n)).data))


class FirstDoses(StudyView):
    """The first dose of the blinded drug."""

    scopes = {"POST": "kits:dispense"}

    @write_operation(
        "first_dose_record",
        "Record the first dose",
        "Records the day on which the subject first took the blinded drug. It makes the safety "
        "set: a kit assigned or handed over is not a dose taken.",
        request=OnDay,
        request_example={"on": "2010-03-03"},
        answer=FirstDoseOut,
        example={"on": "2010-03-03"},
        problems=["not_found", "first_dose_known", "no_kit_handed_over"],
    )
    def post(self, request: Request, number: str) -> Response:
        return self.once(lambda: self._record(number))

    def _record(self, number: str) -> Answer:
        subject = subject_of(self.study, number)
        first = record_first_dose(subject, by=self.actor, **self.body(OnDay))
        return Answer(201, dict(FirstDoseOut(first).data))


class DrugStops(StudyView):
    """Permanent stops of a drug."""

    scopes = {"POST": "kits:dispense"}

    @write_operation(
        "drug_stops_record",
        "Stop a drug",
        "Records that a subject stopped one drug for good. The drugs are stopped separately, and "
        "stopping one is not leaving the study: visits go on. A stop of the blinded drug cancels "
        "the dispensations still planned.",
        request=DrugStopIn,
        request_example=examples.DRUG_STOP,
        answer=DrugStopOut,
        example=examples.DRUG_STOP,
        problems=["not_found", "not_randomized", "drug_stopped"],
    )
    def post(self, request: Request, number: str) -> Response:
        return self.once(lambda: self._record(number))

    def _record(self, number: str) -> Answer:
        subject = subject_of(self.study, number)
        stop = stop_drug(subject, by=self.actor, **self.body(DrugStopIn))
        return Answer(201, dict(DrugStopOut(stop).data))


class DoseReductions(StudyView):
    """Dose reductions, level by level."""

    scopes = {"POST": "kits:dispense"}

    @write_operation(
        "dose_reductions_record",
        "Reduce a dose",
        "Records that a subject goes one dose level down. The levels and their order are those of "
        "the study's definition, and they are the same whatever is in the kits.",
        request=DoseReductionIn,
        request_example=examples.DOSE_REDUCTION,
        answer=DoseReductionOut,
        example={"drug": "study_drug", **examples.DOSE_REDUCTION},
        problems=["not_found", "not_randomized", "drug_stopped"],
    )
    def post(self, request: Request, number: str) -> Response:
        return self.once(lambda: self._record(number))

    def _record(self, number: str) -> Answer:
        subject = subject_of(self.study, number)
        made = reduce_dose(subject, by=self.actor, **self.body(DoseReductionIn))
        return Answer(201, dict(DoseReductionOut(made).data))
