"""Reading JSON strictly: a field that nobody knows is an error that names it."""

from datetime import date, datetime
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from iwrs.days import OUTSIDE, is_possible


class Strict(serializers.Serializer[Any]):
    """A serializer for requests. Unknown fields are errors beside all others, not dropped."""

    def to_internal_value(self, data: Any) -> Any:
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, dict) else []
        errors: dict[str, Any] = {name: ["This field is not known."] for name in unknown}
        try:
            value = super().to_internal_value(data)
        except serializers.ValidationError as error:
            errors = dict(error.detail) | errors if isinstance(error.detail, dict) else errors
            value = None
        if errors:
            raise serializers.ValidationError(errors)
        return value


class NoBody(Strict):
    """A request without fields: no body, or an empty object."""


class Day(serializers.DateField):
    """A day that a client gives."""

    default_error_messages = {"outside": OUTSIDE}

    def to_internal_value(self, value: Any) -> date:
        day = super().to_internal_value(value)
        if not is_possible(day):
            self.fail("outside")
        return day


class Moment(serializers.DateTimeField):
    """Day and time with the offset from UTC: without it nobody knows which moment is meant."""

    default_error_messages = {
        "naive": "Give the offset from UTC too, for example 2011-02-11T09:30:00+01:00.",
        "outside": OUTSIDE,
    }

    def enforce_timezone(self, value: datetime) -> datetime:
        if value.tzinfo is None:
            self.fail("naive")
        if not is_possible(value.date()):
            self.fail("outside")
        return super().enforce_timezone(value)


@extend_schema_field({"type": ["string", "integer"]})
class BaselineValue(serializers.Field[Any, Any, Any, Any]):
    """One baseline value: the key of a choice, a whole number, or null when it is not known."""

    default_error_messages = {"type": "Give a text, a whole number or null."}

    def to_internal_value(self, data: Any) -> str | int:
        if isinstance(data, bool) or not isinstance(data, str | int):
            self.fail("type")
        return data

    def to_representation(self, value: Any) -> Any:
        return value


class ProblemDocument(serializers.Serializer[Any]):
    """A refused request (RFC 9457). Nothing was changed."""

    type = serializers.CharField(help_text="Address of the page that explains this code.")
    title = serializers.CharField(help_text="What this code means; the same each time.")
    status = serializers.IntegerField(help_text="The HTTP status.")
    detail = serializers.CharField(help_text="What was wrong this time, and what to do.")
    code = serializers.CharField(help_text="Stable; a program may act on it.")
    errors = serializers.DictField(  # type: ignore[assignment]
        child=serializers.CharField(),
        required=False,
        help_text="Field name to text. A field inside another reads `strata.visceral`.",
    )
