"""The Celery application. Redis carries wake-ups, never facts."""

import os

from celery import Celery
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "iwrs.settings")

app = Celery("iwrs")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect  # type: ignore[untyped-decorator]
def keep_django_logging(**_: object) -> None:
    """Workers log as the web does: Celery must not install handlers of its own."""
