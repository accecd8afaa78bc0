"""The answer to a randomization in JSON: number, kit and first visits. Never an arm."""

from typing import Any

from rest_framework import serializers

from assessments.serializers import PlannedVisitOut
from dispensing.serializers import KitOut
from iwrs.api.serializers import Moment, Strict
from iwrs.definition import levels_in
from iwrs.problems import Invalid
from trial.late import Late
from trial.services import Randomized


class RandomizationIn(Strict):
    """Nothing, or what the paper says of a randomization made while the system was down."""

    occurred_at = Moment(
        required=False, help_text="When it was made on paper, with the offset from UTC."
    )
    late_reason = serializers.CharField(
        required=False, max_length=2000, help_text="Why it is entered late; with `occurred_at`."
    )
    paper_number = serializers.CharField(
        required=False,
        max_length=20,
        help_text="Paper number that the emergency holder told, with `occurred_at`. Refused with "
        "`paper_not_next` unless it is of the next place of the stratum and of the centre's kits.",
    )
    paper_kit = serializers.CharField(
        required=False,
        max_length=7,
        help_text="Number of the kit that the paper gave; with `occurred_at`. It is compared with "
        "the kit of the answer, and the difference is recorded.",
    )


def late_of(sent: dict[str, Any]) -> Late | None:
    """What was sent of a randomization on paper; None when nothing was. Raises `Invalid`."""
    if not sent:
        return None
    if "occurred_at" not in sent:
        raise Invalid({"occurred_at": "Say when it was made on paper."})
    return Late(
        sent["occurred_at"],
        sent.get("late_reason", ""),
        sent.get("paper_kit", ""),
        sent.get("paper_number", ""),
    )


class RandomizationOut(serializers.Serializer[Randomized]):
    """What a site learns when a subject is randomized. It never changes afterwards."""

    subject = serializers.CharField(source="subject.number", help_text="Subject number.")
    randomization_number = serializers.CharField(
        source="randomization.number",
        help_text="Eight digits that say nothing of treatment, block or order.",
    )
    randomized_at = serializers.DateTimeField(source="randomization.occurred_at")
    paper_number = serializers.CharField(
        help_text="Of a randomization made on paper while the system was down; else empty."
    )
    stratum = serializers.SerializerMethodField(
        help_text="Factor to level, as the allocation used them."
    )
    kit = KitOut(allow_null=True, help_text="The kit to hand over now; null if none is planned.")
    visits = serializers.SerializerMethodField(help_text="The first visits.")

    def get_stratum(self, randomized: Randomized) -> dict[str, str]:
        return levels_in(randomized.randomization.stratum_key)

    def get_visits(self, randomized: Randomized) -> list[dict[str, Any]]:
        return [dict(visit) for visit in PlannedVisitOut(randomized.visits, many=True).data]
