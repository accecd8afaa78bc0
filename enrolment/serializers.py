"""Room 1 in JSON: centres, subjects, screening."""

from typing import Any

from rest_framework import serializers

from enrolment.models import Centre, Subject
from enrolment.services import open_questions
from iwrs.api.pagination import Page
from iwrs.api.serializers import BaselineValue, Day, Strict

NEXT = "The address of the next page; null on the last one."


class CentreOut(serializers.ModelSerializer[Centre]):
    """A centre of the study."""

    class Meta:
        model = Centre
        fields = ["number", "name", "country_code", "country_name", "time_zone", "status"]


class CentrePage(serializers.Serializer[Any]):
    """A page of centres, in the order of their numbers."""

    next = serializers.URLField(allow_null=True, help_text=NEXT)
    results = CentreOut(many=True)


class SubjectOut(serializers.ModelSerializer[Subject]):
    """A subject as a list shows it."""

    centre: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        "number", read_only=True, help_text="Centre number."
    )

    rescreen_of: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        "number",
        read_only=True,
        allow_null=True,
        help_text="Number of the same person at the screening before; null at the first one.",
    )

    class Meta:
        model = Subject
        fields = [
            *("number", "centre", "status", "consent_on", "screened_at", "randomized_at"),
            "rescreen_of",
        ]


class SubjectPage(serializers.Serializer[Any]):
    """A page of subjects, in the order of their numbers."""

    next = serializers.URLField(allow_null=True, help_text=NEXT)
    results = SubjectOut(many=True)


class SubjectDetail(SubjectOut):
    """A subject with every answer of screening, and what still stands in the way."""

    strata = serializers.DictField(
        child=serializers.CharField(), help_text="Factor to level, as answered."
    )
    eligibility = serializers.SerializerMethodField(help_text="Question to answer.")
    baseline = serializers.DictField(child=BaselineValue(allow_null=True))
    open_questions = serializers.SerializerMethodField(
        help_text="Keys of the questions that are not answered or exclude the subject, "
        "without those that an approved deviation sets aside."
    )

    class Meta(SubjectOut.Meta):
        fields = [
            *SubjectOut.Meta.fields,
            *("strata", "eligibility", "baseline", "open_questions", "failure_reason"),
        ]

    def get_eligibility(self, subject: Subject) -> dict[str, str]:
        answers = subject.eligibility.order_by("pk")
        return dict(answers.values_list("question", "answer"))

    def get_open_questions(self, subject: Subject) -> list[str]:
        return [each.criterion.key for each in open_questions(subject)]


class SubjectQuery(Page):
    """Which subjects."""

    centre = serializers.RegexField(
        r"^[0-9]{4}\Z", required=False, help_text="Only those of the centre with this number."
    )
    status = serializers.ChoiceField(
        Subject.Status.choices, required=False, help_text="Only those in this state."
    )


class RescreeningIn(Strict):
    """What a site knows of a subject at screening. Keys are those of the study definition.

    Answers may be left out: the subject then stays in screening.
    """

    consent_on = Day(help_text="Day on which the subject signed the consent.")
    strata = serializers.DictField(
        child=serializers.CharField(max_length=60, allow_blank=True),
        default=dict,
        help_text="Factor to level.",
    )
    eligibility = serializers.DictField(
        child=serializers.CharField(max_length=60),
        default=dict,
        help_text="Question to `yes`, `no` or `unknown`.",
    )
    baseline = serializers.DictField(
        child=BaselineValue(allow_null=True), default=dict, help_text="Item to value."
    )


class ScreeningIn(RescreeningIn):
    """The same of a new subject, with the centre."""

    centre = serializers.RegexField(r"^[0-9]{4}\Z", help_text="Number of the centre.")


class ScreenFailureIn(Strict):
    """Why a subject is not randomized."""

    reason = serializers.CharField(max_length=300)
