"""The Celery application and its timetable. Redis carries wake-ups, never facts.

Everything in the timetable looks for what is due in rows and may run twice or be skipped: what
a lost message would have done, the next one does.
"""

import os

from celery import Celery
from celery.schedules import crontab
from celery.signals import setup_logging

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "iwrs.settings")

app = Celery("iwrs")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


def _entry(task: str, schedule: float | crontab, *, expires: int) -> dict[str, object]:
    return {"task": task, "schedule": schedule, "options": {"expires": expires}}


# Times are UTC. `expires` (seconds): while a worker is down, old wake-ups must not pile up.
# Daily work is asked for every hour and does nothing when it was done: a lost message costs an
# hour and not a day.
app.conf.beat_schedule = {
    "deliver letters": _entry("iwrs.tasks.deliver_outbox", 60.0, expires=55),
    "deliver staff letters": _entry("iwrs.tasks.unblinded_deliver_letters", 60.0, expires=55),
    "sweep visits": _entry("assessments.tasks.sweep_studies", crontab(minute="*/15"), expires=840),
    "watch event counts": _entry("dsmb.tasks.watch_studies", crontab(minute=10), expires=3000),
    "remind of access reviews": _entry(
        "enrolment.tasks.remind_of_access_reviews", crontab(minute=40), expires=3000
    ),
    "remind of unblinded access reviews": _entry(
        "enrolment.tasks.unblinded_remind_of_access_reviews", crontab(minute=40), expires=3000
    ),
    "request daily supply": _entry(
        "dispensing.tasks.request_daily_supply", crontab(minute=20), expires=3000
    ),
    "work supply runs": _entry("dispensing.tasks.unblinded_work_supply_runs", 60.0, expires=55),
    "work extracts": _entry("dsmb.tasks.unblinded_work_extracts", 60.0, expires=55),
    "work simulations": _entry("randomization.tasks.unblinded_work_simulations", 60.0, expires=55),
    "watch lists": _entry("randomization.tasks.unblinded_watch_lists", 300.0, expires=290),
    "renew sealed packs": _entry("dsmb.tasks.unblinded_renew_packs", 300.0, expires=290),
    "seal history": _entry("iwrs.audit_trail.tasks.seal_history", 60.0, expires=55),
    "seal unblinded history": _entry(
        "iwrs.audit_trail.tasks.unblinded_seal_history", 60.0, expires=55
    ),
    "watch gate calls": _entry("dispensing.tasks.unblinded_watch_calls", 300.0, expires=290),
}


@setup_logging.connect
def keep_django_logging(**_: object) -> None:
    """Workers log as the web does: Celery must not install handlers of its own."""
