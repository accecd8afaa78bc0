"""What waits at centres now: visits due and overdue, kits to hand over, subjects in screening, and
what an EDC system recorded and nobody has signed yet.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber

from assessments.models import Visit
from assessments.services import OPEN
from dispensing.models import Dispensation
from enrolment.models import Centre, Subject
from iwrs import clock
from randomization.models import Randomization
from trial.confirming import Unconfirmed, unconfirmed_at

RECENT = 10  # last randomizations shown of each centre
MOST_UNCONFIRMED = 50  # shown of each centre: hundreds may wait where nobody confirmed so far
WAITING = (Subject.Status.SCREENING, Subject.Status.ELIGIBLE)


@dataclass
class CentreWork:
    """The work of one centre, at its own date of today."""

    centre: Centre
    today: date
    overdue: list[Visit] = field(default_factory=list)
    due: list[Visit] = field(default_factory=list)
    kits: list[Dispensation] = field(default_factory=list)
    screening: list[Subject] = field(default_factory=list)
    recent: list[Randomization] = field(default_factory=list)
    unconfirmed: list[Unconfirmed] = field(default_factory=list)
    more_unconfirmed: int = 0  # how many wait beside those


def work_of(centres: Sequence[Centre], to_confirm: Collection[int] = ()) -> list[CentreWork]:
    """The work of each centre, in four queries whatever the number of centres, and two more for
    what waits to be confirmed at the centres `to_confirm`, by their keys.
    """
    work = {each.pk: CentreWork(each, clock.today(each.time_zone)) for each in centres}
    for visit in _open_visits(work):
        place = work[visit.subject.centre_id]
        if visit.window_to < place.today:
            place.overdue.append(visit)
        elif visit.window_from <= place.today:
            place.due.append(visit)
    for dispensation in _kits_to_hand_over(work):
        work[dispensation.subject.centre_id].kits.append(dispensation)
    for subject in Subject.objects.filter(centre__in=work, status__in=WAITING):
        work[subject.centre_id].screening.append(subject)
    for randomization in _recent(work):
        work[randomization.subject.centre_id].recent.append(randomization)
    for unconfirmed in unconfirmed_at(work.keys() & to_confirm):
        place = work[unconfirmed.subject.centre_id]
        if len(place.unconfirmed) < MOST_UNCONFIRMED:
            place.unconfirmed.append(unconfirmed)
        else:
            place.more_unconfirmed += 1
    return list(work.values())


def overdue_visits(centres: "QuerySet[Centre]") -> int:
    """How many visits are past their window, over many centres (by the date in UTC)."""
    return Visit.objects.filter(
        subject__centre__in=centres, status__in=OPEN, window_to__lt=clock.today()
    ).count()


def _open_visits(centres: dict[int, CentreWork]) -> list[Visit]:
    # The date of a centre is at most a day ahead of UTC; the exact day is checked above.
    latest = clock.today() + timedelta(days=1)
    return list(
        Visit.objects.filter(subject__centre__in=centres, status__in=OPEN, window_from__lte=latest)
        .select_related("subject")
        .order_by("window_to", "subject__number")
    )


def _kits_to_hand_over(centres: dict[int, CentreWork]) -> list[Dispensation]:
    return list(
        Dispensation.objects.filter(
            subject__centre__in=centres, status=Dispensation.Status.ASSIGNED
        )
        .select_related("subject", "kit")
        .order_by("assigned_at")
    )


def _recent(centres: dict[int, CentreWork]) -> list[Randomization]:
    place = Window(
        RowNumber(), partition_by=F("subject__centre_id"), order_by=[F("occurred_at").desc()]
    )
    return list(
        Randomization.objects.filter(subject__centre__in=centres)
        .annotate(place=place)
        .filter(place__lte=RECENT)
        .select_related("subject")
        .order_by("-occurred_at")
    )
