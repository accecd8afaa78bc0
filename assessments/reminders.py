"""Which visits are written about: once before the due day, and once when overdue."""

from collections.abc import Iterable
from datetime import date, timedelta

from django.db.models import CharField, Exists, OuterRef, Q, Value
from django.db.models.functions import Cast, Concat

from assessments.models import Visit
from iwrs import outbox
from iwrs.models import OutboxMessage, Study

REMINDER, OVERDUE = "visit-reminder", "visit-overdue"


def reminder_key(visit: int) -> str:
    """The key that makes the reminder of a visit unique."""
    return f"visit-{visit}-reminder"


def remind(study: Study, today: date) -> int:
    """Queue the reminder of each open visit whose due day is near, within an open act.

    `reminder_days_before` of the definition says how near. A due day that has passed is not
    reminded of: the overdue letter speaks of it. Returns how many were queued.
    """
    last_due = today + timedelta(days=study.definition.schedule.reminder_days_before)
    key = Concat(Value("visit-"), Cast(OuterRef("pk"), CharField()), Value("-reminder"))
    visits = Visit.objects.filter(
        # A due day lies in its window: said twice, so that the indexes of open visits serve.
        Q(status=Visit.Status.DUE, window_to__gte=today)
        | Q(status=Visit.Status.PLANNED, window_from__lte=last_due),
        ~Exists(OutboxMessage.objects.filter(key=key)),
        subject__study=study,
        due_on__range=(today, last_due),
    )
    pks = list(visits.order_by("due_on", "pk").values_list("pk", flat=True))
    outbox.queue_many(study, REMINDER, ((reminder_key(pk), {"visit": pk}) for pk in pks))
    return len(pks)


def notice_overdue(study: Study, visits: Iterable[int]) -> int:
    """Queue one letter for each visit that has just become overdue, within an open act."""
    letters = [(f"visit-{pk}-overdue", {"visit": pk}) for pk in visits]
    outbox.queue_many(study, OVERDUE, letters)
    return len(letters)
