"""How the portal writes days, moments and numbers, and draws a form's parts."""

import json
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import template
from django.core.serializers.json import DjangoJSONEncoder
from django.forms.boundfield import BoundField

from iwrs.clock import local_date
from iwrs.forms import PortalForm, anchor

register = template.Library()


@register.filter
def day(value: date | None) -> str:
    """11 February 2011: no one has to guess which number is the month."""
    return f"{value:%-d %B %Y}" if value else ""


@register.filter
def moment(value: datetime | None, zone: str = "UTC") -> str:
    """A moment as the centre's clock shows it, and in UTC (ICH E6(R3) 4.2.2(d))."""
    if value is None:
        return ""
    universal = value.astimezone(UTC)
    if zone == "UTC":
        return f"{universal:%-d %B %Y, %H:%M} UTC"
    local = value.astimezone(ZoneInfo(zone))
    same_day = local.date() == universal.date()
    other = f"{universal:%H:%M}" if same_day else f"{universal:%-d %B %Y, %H:%M}"
    return f"{local:%-d %B %Y, %H:%M} ({zone}), {other} UTC"


@register.filter
def spelled(value: str) -> str:
    """A day or a moment that is written as ISO 8601, in words; any other text as it is."""
    try:
        if len(value) == len("2011-02-11"):
            return day(date.fromisoformat(value))
        return moment(datetime.fromisoformat(value))
    except ValueError:
        return value


@register.filter
def localday(value: datetime | None, zone: str = "UTC") -> str:
    """The date that a moment had on the centre's wall."""
    return day(local_date(value, zone)) if value else ""


@register.filter
def grouped(number: str) -> str:
    """Digits in groups of four, as people read them aloud: 1234 5678."""
    return " ".join(number[i : i + 4] for i in range(0, len(number), 4))


@register.filter
def as_json(value: object) -> str:
    """Data for one of our scripts, to stand in an attribute: escaped like any other text."""
    return json.dumps(value, cls=DjangoJSONEncoder)


@register.inclusion_tag("parts/problems.html")
def problems(form: PortalForm) -> dict[str, Any]:
    """The error summary, with a link to each field."""
    return {"form": form}


@register.inclusion_tag("parts/field.html")
def field(bound: BoundField) -> dict[str, Any]:
    """One question: label, help, errors, input."""
    return {"field": bound, "error_id": f"{bound.auto_id}_error", "anchor": anchor(bound)}
