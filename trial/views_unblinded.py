"""Home of the unblinded site: lists, stock and alarms of each study of the person."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from dispensing.unblinded.calls import GateAlarm, watch_calls
from dispensing.unblinded.models import KitImport
from dispensing.unblinded.plan import SupplyPlan
from dispensing.unblinded.stock import LotStock, stock
from dispensing.unblinded.supply import unmet
from enrolment import access_review
from enrolment.access import allowed, require, studies_for
from enrolment.pages import Page
from iwrs import clock
from iwrs.accounts.events import recent_locks
from iwrs.accounts.models import SignInEvent
from iwrs.audit_trail.access import record_look
from iwrs.models import Study, StudyVersion
from iwrs.permissions import Act
from randomization.unblinded.extension import (
    active_list,
    low_strata,
    missing_strata,
    open_extension,
)
from randomization.unblinded.models import RandomizationList, StratumCursor
from randomization.unblinded.models_life import ListExtension
from trial.audit import review

LOCKS_SHOWN = 20


@dataclass
class StudyDesk:
    """One study as one person of the unblinded side sees it."""

    study: Study
    manages_list: bool
    manages_stock: bool
    may_force: bool = False
    lists: list[RandomizationList] = field(default_factory=list)
    to_sign: set[int] = field(default_factory=set)
    active: RandomizationList | None = None
    announced: StudyVersion | None = None
    low: list[StratumCursor] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    extension: ListExtension | None = None
    signs_extension: bool = False
    alarms: list[GateAlarm] = field(default_factory=list)
    lots: list[LotStock] = field(default_factory=list)
    imports: list[KitImport] = field(default_factory=list)
    supply: SupplyPlan | None = None
    locks: list[SignInEvent] = field(default_factory=list)
    sees_people: bool = False
    reads_trail: bool = False
    reviews: "Reviews | None" = None


@dataclass(frozen=True)
class Reviews:
    """What an auditor has to do. Days are of UTC; no day of the trail when nothing is reviewed."""

    access_due: bool
    access_due_on: date | None
    trail_to: date | None


class Home(Page):
    """What waits for this person, study by study."""

    sensitive: ClassVar[str] = "the stock by lot and arm"

    def get(self, request: HttpRequest) -> HttpResponse:
        self.desks = [desk(study, request.user) for study in studies_for(request.user)]
        return render(
            request,
            "trial/unblinded/home.html",
            {"desks": self.desks, "access_days": access_review.EVERY.days},
        )

    def _record_look(self) -> None:
        """One look for each study whose stock was shown: the page belongs to no single study."""
        for each in self.desks:
            if each.lots:
                by = require(self.person, Act.MANAGE_STOCK, each.study)
                record_look(by, page=self.sensitive, study_code=each.study.code)


def desk(study: Study, user: Any) -> StudyDesk:
    """Gather what the person's roles in the study let them see."""
    made = StudyDesk(
        study=study,
        manages_list=allowed(user, Act.MANAGE_LIST, study),
        manages_stock=allowed(user, Act.MANAGE_STOCK, study),
        may_force=study.definition.randomization.forced_allocation
        and allowed(user, Act.FORCE_ALLOCATION, study),
        locks=list(recent_locks(study.code)[:LOCKS_SHOWN]),
        sees_people=allowed(user, Act.SEE_UNBLINDED_PEOPLE, study),
        reads_trail=allowed(user, Act.SEE_UNBLINDED_AUDIT, study),
    )
    if allowed(user, Act.REVIEW_UNBLINDED_AUDIT, study):
        made.reviews = _reviews(study)
    alarms = watch_calls(study)
    if made.manages_list:
        made.lists = list(RandomizationList.objects.filter(study=study).order_by("-number"))
        made.to_sign = {each.pk for each in made.lists if _may_sign(each, str(user))}
        made.alarms += [alarm for alarm in alarms if alarm.kind == "stratum"]
        made.active, made.announced = active_list(study), study.announced()
        _extension(made, str(user))
    if made.manages_stock:
        made.alarms += [alarm for alarm in alarms if alarm.kind == "centre"]
        made.lots = stock(study)
        made.imports = list(KitImport.objects.filter(study=study).order_by("-pk")[:5])
        made.supply = unmet(study, clock.study_now(study.replay_now))
    return made


def _reviews(study: Study) -> Reviews:
    access, trail = access_review.last_review(study), review.last_review(study)
    return Reviews(
        access_due=access_review.is_due(access),
        access_due_on=(access.reviewed_at + access_review.EVERY).date() if access else None,
        trail_to=(trail.until - timedelta(days=1)).date() if trail else None,
    )


def _extension(made: StudyDesk, label: str) -> None:
    """Strata that run low or are missing, and the extension that waits."""
    if made.active is None:
        return
    made.low, made.missing = low_strata(made.active), missing_strata(made.active)
    made.extension = open_extension(made.active)
    if made.extension is not None:
        before = {made.extension.generated_by, made.extension.first_approved_by}
        made.signs_extension = label not in before


def _may_sign(made: RandomizationList, label: str) -> bool:
    waits = made.status in {RandomizationList.Status.GENERATED, RandomizationList.Status.APPROVED}
    return waits and label not in {made.generated_by, made.first_approved_by}
