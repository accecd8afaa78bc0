"""The weekly look at what centres need. It decides from blinded counts, then sends.

The deciding half (`needs` and `plan.plan_supply`) reads public rows and the number of free places;
it never reads an arm. The sending half looks up the arm to pick the kit of a place.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import structlog
from django.db import connection
from django.db.models import Exists, F, OuterRef, Q, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from dispensing.models import Dispensation, Kit, SupplyRun
from dispensing.services import use_until
from dispensing.unblinded import depot
from dispensing.unblinded.cover import BATCH, cover_until, store_cohorts
from dispensing.unblinded.models import VisitKit
from dispensing.unblinded.plan import CoverNeed, SupplyPlan, VisitNeed, plan_supply
from enrolment.models import Centre
from iwrs import clock
from iwrs.actors import SYSTEM, Actor
from iwrs.acts import act
from iwrs.models import Study
from iwrs.problems import Problem
from iwrs.tasks import without_values
from randomization.unblinded.arms import definition_of_list
from randomization.unblinded.models import Allocation

RESTOCK_AT = 2  # places left at a centre at which the next cohort is sent
LOOK_AHEAD_DAYS = 14  # cover that expires before the run after next is not counted
_log = structlog.get_logger(__name__)

# Kits at a centre that nobody will get: cohorts that served their number or went out of date (not a
# kit that was told on paper and is kept for a subject who is not entered yet), and visit kits whose
# dispensation is cancelled, was served by another kit, or that went out of date.
_LEFT_OVER = """
    SELECT k.id FROM public.dispensing_kit k
      JOIN unblinded.cover_kit c ON c.kit_id = k.id
      JOIN public.dispensing_cohort h ON h.id = c.cohort_id
      JOIN public.dispensing_lot l ON l.id = h.lot_id
     WHERE k.study_id = %(study)s AND k.status = 'at_centre'
       AND (h.served = h.size OR l.expires_on < %(use_until)s)
       AND NOT EXISTS (SELECT 1 FROM unblinded.paper_kit p
                         JOIN public.enrolment_subject s ON s.id = p.subject_id
                        WHERE p.kit_id = k.id AND s.status = 'eligible')
    UNION ALL
    SELECT k.id FROM public.dispensing_kit k
      JOIN unblinded.visit_kit v ON v.kit_id = k.id
      JOIN public.dispensing_dispensation d ON d.id = v.dispensation_id
      JOIN public.dispensing_lot l ON l.id = k.lot_id
     WHERE k.study_id = %(study)s AND k.status = 'at_centre'
       AND (d.status <> 'planned' OR l.expires_on < %(use_until)s)
"""


@dataclass(frozen=True)
class SupplyOutcome:
    """What one run did, in blinded counts. `unmet_*` is what the depot could not serve."""

    cohorts: int
    visit_kits: int
    retired: int
    unmet_cohorts: int
    unmet_visits: int


def run_supply(study: Study, as_of: datetime, *, by: Actor = SYSTEM) -> SupplyOutcome:
    """Send cover and visit kits that are needed at `as_of`, and retire what is left over.

    One run at a time for a study. What the depot cannot serve stays unmet and is asked for again
    by the next run; it depends on blinded counts only, like everything here.
    """
    with act("supply run", by=by), clock.at(as_of):
        return _run(study, as_of)


def work_supply_runs() -> int:
    """Do the queued runs, oldest first, and return how many were taken.

    A run that meets a busy lock stays queued. One that fails is marked so, without saying why:
    the row is public. The log of the unblinded side names the kind of error and no values.
    """
    taken = 0
    while _work_one():
        taken += 1
    return taken


def needs(study: Study, as_of: datetime) -> tuple[list[VisitNeed], list[CoverNeed]]:
    """What centres need at `as_of`, from blinded rows alone: visits by due day, then cover."""
    return _visit_needs(study, as_of), _cover_needs(study, as_of)


def unmet(study: Study, as_of: datetime) -> SupplyPlan:
    """What a run would do now, without doing it: for the page of the supply manager."""
    visits, covers = needs(study, as_of)
    return plan_supply(depot.depot_lots(study), visits, covers)


def _run(study: Study, as_of: datetime) -> SupplyOutcome:
    definition_of_list(study)  # fewer arms in it, and a place would lack some subjects' kit
    depot.lock_depot(study)
    until = use_until(study.definition, clock.local_date(as_of, "UTC"))
    depot.settle_places(study)
    retired = depot.retire(_left_over(study, until))
    visits, covers = needs(study, as_of)
    most = len(visits) + sum(need.size for need in covers)
    plan = plan_supply(depot.depot_lots(study, at_most=most), visits, covers)
    if plan.visits or plan.covers:
        _carry_out(study, plan, as_of)
    return SupplyOutcome(
        cohorts=len(plan.covers),
        visit_kits=len(plan.visits),
        retired=retired,
        unmet_cohorts=plan.unmet_covers,
        unmet_visits=plan.unmet_visits,
    )


def _visit_needs(study: Study, as_of: datetime) -> list[VisitNeed]:
    """Planned dispensations within the horizon that have no kit good until they would use it."""
    definition = study.definition
    today = clock.local_date(as_of, "UTC")
    window = timedelta(days=definition.schedule.window_after_days)
    good = VisitKit.objects.filter(
        dispensation=OuterRef("pk"),
        kit__status=Kit.Status.AT_CENTRE,  # not retired meanwhile, when a visit was planned again
        kit__lot__expires_on__gte=use_until(definition, today),
    )
    rows = (
        Dispensation.objects.filter(
            ~Exists(good),
            subject__study=study,
            status=Dispensation.Status.PLANNED,
            number__gte=1,
            due_on__lte=today + timedelta(days=definition.kits.visit_horizon_days),
        )
        .order_by("due_on", "pk")
        .values_list("pk", "subject_id", "subject__centre_id", "due_on")
    )
    return [
        VisitNeed(pk, subject, centre, use_until(definition, max(due_on + window, today)))
        for pk, subject, centre, due_on in rows
    ]


def _cover_needs(study: Study, as_of: datetime) -> list[CoverNeed]:
    """A cohort for each active centre that has few places left for new randomizations."""
    if study.status == Study.Status.CLOSED:
        return []
    definition = study.definition
    soon = clock.local_date(as_of, "UTC") + timedelta(days=LOOK_AHEAD_DAYS)
    usable = Q(cohorts__lot__expires_on__gte=use_until(definition, soon))
    left = Coalesce(Sum(F("cohorts__size") - F("cohorts__served"), filter=usable), 0)
    centres = (
        Centre.objects.filter(study=study, status=Centre.Status.ACTIVE)
        .annotate(left=left)
        .filter(left__lte=RESTOCK_AT)
        .order_by("number")
        .values_list("pk", flat=True)
    )
    until = cover_until(definition, as_of)
    return [CoverNeed(pk, definition.kits.cohort_size, until) for pk in centres]


def _left_over(study: Study, until: date) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(_LEFT_OVER, {"study": study.pk, "use_until": until})
        return [pk for (pk,) in cursor.fetchall()]


def _carry_out(study: Study, plan: SupplyPlan, moment: datetime) -> None:
    places = depot.take_places(study, plan.places())
    visits_of: dict[int, int] = {}
    chosen = []
    for need, lot in plan.visits:
        visits_of[lot] = visits_of.get(lot, 0) + 1
        chosen.append((need, places[lot][visits_of[lot] - 1]))
    _send_visit_kits(chosen, moment)
    rest = {lot: of_lot[visits_of.get(lot, 0) :] for lot, of_lot in places.items()}
    if plan.covers:
        store_cohorts(rest, plan.covers, moment)


def _send_visit_kits(chosen: list[tuple[VisitNeed, depot.Place]], moment: datetime) -> None:
    """Send the kit of the subject's arm of each place; the others of the place stay behind."""
    if not chosen:
        return
    arms: Mapping[int, str] = dict(
        Allocation.objects.filter(subject__in={need.subject for need, _ in chosen}).values_list(
            "subject_id", "arm"
        )
    )
    sent = [
        VisitKit(
            dispensation_id=need.dispensation, kit_id=place[arms[need.subject]], sent_at=moment
        )
        for need, place in chosen
    ]
    # A kit that went out of date before its visit is replaced in the same row.
    VisitKit.objects.bulk_create(
        sent,
        batch_size=BATCH,
        update_conflicts=True,
        unique_fields=["dispensation"],
        update_fields=["kit", "sent_at"],
    )
    centres = {need.dispensation: need.centre for need, _ in chosen}
    depot.send({each.kit_id: centres[each.dispensation_id] for each in sent})
    depot.open_centres(list(centres.values()))


def _work_one() -> bool:
    """Take one queued run; False when there is none, or when it must wait."""
    run: SupplyRun | None = None
    try:
        with act("supply run", by=SYSTEM):
            run = _next_run()
            if run is None:
                return False
            with clock.at(run.as_of):
                _run(run.study, run.as_of)
            _close(run, SupplyRun.Status.DONE)
            return True
    except Exception as error:
        if run is None:
            raise
        if isinstance(error, Problem) and error.code == "busy":
            return False
        _log.error("supply run failed", run=run.pk, **without_values(error))
    with act("supply run failed", by=SYSTEM):
        _close(run, SupplyRun.Status.FAILED)
    return True


def _next_run() -> SupplyRun | None:
    return (
        SupplyRun.objects.select_for_update(of=("self",), skip_locked=True, no_key=True)
        .select_related("study")
        .filter(status=SupplyRun.Status.QUEUED)
        .order_by("pk")
        .first()
    )


def _close(run: SupplyRun, status: SupplyRun.Status) -> None:
    run.status = status
    run.finished_at = timezone.now()
    run.save(update_fields=["status", "finished_at"])
