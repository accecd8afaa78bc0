"""What the calendar does to visits: planned, due, overdue, and who is reminded."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import DateField, DateTimeField, F, Func, QuerySet, Value
from django.db.models.functions import Cast

from assessments import reminders
from assessments.models import Visit
from iwrs import clock
from iwrs.actors import SYSTEM
from iwrs.acts import act
from iwrs.models import Study


@dataclass(frozen=True)
class SweepCounts:
    """What one sweep changed: visits that became due or overdue, letters that were queued."""

    due: int
    overdue: int
    reminders: int


def sweep(study: Study) -> SweepCounts:
    """Bring the study's open visits to the present business date of each centre.

    A visit is due from the first day of its window and overdue after the last. Sweeping again
    changes nothing. The number of queries does not depend on how many visits there are.
    """
    moment = clock.study_now(study.replay_now)
    today = moment.date()
    # No centre is more than a day ahead. Said twice, so that the indexes of open visits serve.
    tomorrow = today + timedelta(days=1)
    with act("sweep visits", by=SYSTEM):
        due = _move(
            Visit.objects.filter(status=Visit.Status.PLANNED, window_from__lte=tomorrow).filter(
                window_from__lte=_local_date(moment)
            ),
            study,
            Visit.Status.DUE,
        )
        overdue = _move(
            Visit.objects.filter(status=Visit.Status.DUE, window_to__lt=tomorrow).filter(
                window_to__lt=_local_date(moment)
            ),
            study,
            Visit.Status.OVERDUE,
        )
        queued = reminders.remind(study, today) + reminders.notice_overdue(study, overdue)
    return SweepCounts(len(due), len(overdue), queued)


def _local_date(moment: datetime) -> Cast:
    """The date at the visit's centre (SQL: `AT TIME ZONE`)."""
    zone = F("subject__centre__time_zone")
    local = Func(zone, Value(moment), function="timezone", output_field=DateTimeField())
    return Cast(local, DateField())


def _move(visits: "QuerySet[Visit]", study: Study, status: str) -> list[int]:
    """Give the visits a status and return their keys.

    A visit that a person is recording right now is skipped, not waited for: the sweep holds many
    rows, and two acts that wait for each other would both fail. The next sweep takes it.
    """
    pks = list(
        visits.filter(subject__study=study)
        .select_for_update(skip_locked=True, of=("self",), no_key=True)
        .order_by()
        .values_list("pk", flat=True)
    )
    if pks:
        Visit.objects.filter(pk__in=pks).update(status=status)
    return pks
