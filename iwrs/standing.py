"""Facts that stand, and facts recorded in error: kept for good, and counted nowhere."""

from typing import Any

from django.db import models


class Standing(models.Manager[Any]):
    """Rows that were not recorded in error. First manager of a model, so that all code has it."""

    def get_queryset(self) -> models.QuerySet[Any]:
        return super().get_queryset().filter(in_error=False)


class Recorded(models.Model):
    """Something that a person recorded, and that a correction may take back."""

    in_error = models.BooleanField(default=False, help_text="Taken back by a signed correction.")

    objects = Standing()
    everything: models.Manager[Any] = models.Manager()

    class Meta:
        abstract = True
