"""Room 3 in JSON: kits by number, dispensations, first dose, drug stops. Never a content."""

from typing import Any

from rest_framework import serializers

from dispensing.models import Dispensation, DoseReduction, DrugStop, FirstDose, Kit
from iwrs.api.serializers import Day, Strict


class KitOut(serializers.ModelSerializer[Kit]):
    """A numbered box of blinded drug."""

    grouped = serializers.CharField(
        read_only=True, help_text="The number as people read it aloud: 123 456 7."
    )
    expires_on = serializers.DateField(
        source="lot.expires_on", read_only=True, help_text="Last day on which it may be dispensed."
    )

    class Meta:
        model = Kit
        fields = ["number", "grouped", "expires_on"]


class DispensationOut(serializers.ModelSerializer[Dispensation]):
    """A planned supply of blinded drug and the facts that followed."""

    kit = KitOut(read_only=True, allow_null=True)

    class Meta:
        model = Dispensation
        fields = [
            *("number", "status", "due_on", "earliest_on"),
            *("kit", "assigned_at", "handed_over_on"),
        ]


class DispensationList(serializers.Serializer[Any]):
    """The dispensations of one subject, in order."""

    results = DispensationOut(many=True)


class OnDay(Strict):
    """The day of the act, where the centre is."""

    on = Day(help_text="Day, as the calendar of the centre shows it.")


class FirstDoseOut(serializers.ModelSerializer[FirstDose]):
    """The day on which a subject first took the blinded drug."""

    on = serializers.DateField(source="taken_on")

    class Meta:
        model = FirstDose
        fields = ["on"]


class DrugStopIn(OnDay):
    """A permanent stop of one drug."""

    drug = serializers.CharField(max_length=40, help_text="Key of the drug in the study.")
    reason = serializers.CharField(max_length=40, help_text="Key of the reason in the study.")


class DrugStopOut(serializers.ModelSerializer[DrugStop]):
    """A permanent stop of one drug, as recorded."""

    on = serializers.DateField(source="stopped_on")

    class Meta:
        model = DrugStop
        fields = ["drug", "on", "reason"]


class DoseReductionIn(OnDay):
    """One dose level down."""

    level = serializers.CharField(max_length=40, help_text="Key of the new level in the study.")
    reason = serializers.CharField(max_length=300, help_text="Why; no personal details.")


class DoseReductionOut(serializers.ModelSerializer[DoseReduction]):
    """A dose reduction, as recorded."""

    on = serializers.DateField(source="reduced_on")

    class Meta:
        model = DoseReduction
        fields = ["drug", "level", "on", "reason"]
