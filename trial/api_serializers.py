"""The answer to a randomization in JSON: number, kit and first visits. Never an arm."""

from typing import Any

from rest_framework import serializers

from assessments.serializers import PlannedVisitOut
from dispensing.serializers import KitOut
from iwrs.definition import levels_in
from trial.services import Randomized


class RandomizationOut(serializers.Serializer[Randomized]):
    """What a site learns when a subject is randomized. It never changes afterwards."""

    subject = serializers.CharField(source="subject.number", help_text="Subject number.")
    randomization_number = serializers.CharField(
        source="randomization.number",
        help_text="Eight digits that say nothing of treatment, block or order.",
    )
    randomized_at = serializers.DateTimeField(source="randomization.occurred_at")
    stratum = serializers.SerializerMethodField(
        help_text="Factor to level, as the allocation used them."
    )
    kit = KitOut(allow_null=True, help_text="The kit to hand over now; null if none is planned.")
    visits = serializers.SerializerMethodField(help_text="The first visits.")

    def get_stratum(self, randomized: Randomized) -> dict[str, str]:
        return levels_in(randomized.randomization.stratum_key)

    def get_visits(self, randomized: Randomized) -> list[dict[str, Any]]:
        return [dict(visit) for visit in PlannedVisitOut(randomized.visits, many=True).data]
