"""What `manage.py check --deploy` says of the sign-in."""

from typing import Any

from django.conf import settings
from django.core.checks import Tags, Warning, register


@register(Tags.security, deploy=True)
def second_factor(app_configs: Any, **kwargs: Any) -> list[Warning]:
    """Where no second factor is asked for, the deployment check says so."""
    if settings.SECOND_FACTOR == "required":
        return []
    hint = "Take IWRS_SECOND_FACTOR out of the environment: it is for trying out."
    return [Warning("Nobody is asked for a second factor.", hint=hint, id="iwrs.W001")]
