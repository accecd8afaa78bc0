"""Room 4 in JSON: visits, tumour reads, events, contacts."""

from typing import Any

from rest_framework import serializers

from assessments.models import Contact, SubjectEvent, TumourRead, Visit
from dispensing.serializers import OnDay
from iwrs.api.serializers import Day, Strict


class VisitOut(serializers.ModelSerializer[Visit]):
    """One planned assessment and what was reported of it."""

    dispensation: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        "number",
        read_only=True,
        allow_null=True,
        help_text="Number of the dispensation of this visit; null when none is planned.",
    )

    class Meta:
        model = Visit
        fields = [
            *("number", "status", "due_on", "window_from", "window_to"),
            *("done_on", "ecog", "quality_of_life", "dispensation"),
        ]


class VisitList(serializers.Serializer[Any]):
    """The visits of one subject, in order."""

    results = VisitOut(many=True)


class PlannedVisitOut(serializers.ModelSerializer[Visit]):
    """When a visit is due."""

    class Meta:
        model = Visit
        fields = ["number", "due_on", "window_from", "window_to"]


class VisitReportIn(OnDay):
    """What happened at a visit."""

    local_response = serializers.ChoiceField(
        TumourRead.Response.choices,
        required=False,
        help_text="Overall response of the local investigator (RECIST 1.0). "
        "`PD` ends the six-weekly schedule.",
    )
    ecog = serializers.IntegerField(
        required=False, allow_null=True, min_value=0, max_value=5, help_text="Performance status."
    )
    quality_of_life = serializers.DecimalField(
        required=False,
        allow_null=True,
        max_digits=5,
        decimal_places=2,
        min_value=0,
        max_value=100,
        help_text="Score from 0 to 100.",
    )


class MissedVisitIn(Strict):
    """Why a visit did not take place."""

    why = serializers.CharField(max_length=300)


class ReadIn(Strict):
    """The overall response that one reader gave for one scan."""

    reader = serializers.ChoiceField(TumourRead.Reader.choices)
    assessed_on = Day(help_text="Day of the scan.")
    response = serializers.ChoiceField(TumourRead.Response.choices)
    read_on = Day(help_text="Day on which the reader decided.")


class ReadOut(serializers.ModelSerializer[TumourRead]):
    """A tumour read as recorded."""

    visit: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        "number", read_only=True, allow_null=True, help_text="The visit of that day, if any."
    )

    class Meta:
        model = TumourRead
        fields = ["reader", "assessed_on", "response", "read_on", "visit"]


class EventIn(OnDay):
    """Something that happens once to a subject and matters for an end point."""

    kind = serializers.ChoiceField(SubjectEvent.Kind.choices)
    detail = serializers.CharField(
        max_length=300, required=False, allow_blank=True, help_text="Free text, without names."
    )


class EventOut(serializers.ModelSerializer[SubjectEvent]):
    """An event as recorded."""

    on = serializers.DateField(source="occurred_on")

    class Meta:
        model = SubjectEvent
        fields = ["kind", "on", "detail"]


class ContactOut(serializers.ModelSerializer[Contact]):
    """A day on which the subject was known to be alive."""

    on = serializers.DateField(source="contact_on")

    class Meta:
        model = Contact
        fields = ["on"]
