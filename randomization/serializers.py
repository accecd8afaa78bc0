"""Room 2 in JSON: what was found to be wrong with a randomization. Never an arm."""

from rest_framework import serializers

from randomization.models import Randomization, RandomizedInError, VerifiedStratum


class InErrorOut(serializers.ModelSerializer[RandomizedInError]):
    """The mark of a subject who should not have been randomized."""

    class Meta:
        model = RandomizedInError
        fields = ["reason", "marked_at"]


class VerifiedStratumOut(serializers.ModelSerializer[VerifiedStratum]):
    """The stratum as verified, beside the one that was used."""

    levels = serializers.DictField(
        child=serializers.CharField(), help_text="Factor to level, as it should have been answered."
    )

    class Meta:
        model = VerifiedStratum
        fields = ["levels", "reason", "verified_at"]


class MarksOut(serializers.Serializer[Randomization]):
    """Everything that was found to be wrong with a randomization."""

    in_error = InErrorOut(allow_null=True, help_text="Null when the subject is not marked.")
    verified_strata = VerifiedStratumOut(many=True)
