"""The verbs of accrual below the whole study: a country pauses or closes, a centre closes.

Pausing a centre is suspending it (`enrolment.services`). The whole study is `iwrs.studies`.
"""

from django.db.models import Exists, OuterRef

from enrolment.models import Centre, CountryAccrual
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.locks import lock
from iwrs.models import Study
from iwrs.problems import Invalid, Problem

_NEXT = {
    CountryAccrual.Status.OPEN: {CountryAccrual.Status.PAUSED, CountryAccrual.Status.CLOSED},
    CountryAccrual.Status.PAUSED: {CountryAccrual.Status.OPEN, CountryAccrual.Status.CLOSED},
    CountryAccrual.Status.CLOSED: set(),
}


def set_country_status(
    study: Study, code: str, status: str, *, by: Actor, why: str
) -> CountryAccrual:
    """Pause, open again or close accrual at all centres of a country, also later ones.

    Closed is for good; the same again changes nothing. Subjects in the study go on. Raises
    `Invalid` for a country without a centre or without a reason, `Problem` for a step that
    cannot be.
    """
    with act("set country status", by=by, why=why):
        study = lock(Study.objects, study.pk)
        problems = {}
        if not study.centres.filter(country_code=code).exists():
            problems["country"] = "The study has no centre in this country."
        if status not in CountryAccrual.Status.values:
            problems["status"] = f"Choose one of: {', '.join(CountryAccrual.Status.values)}."
        if not why.strip():
            problems["why"] = "Say why."
        if problems:
            raise Invalid(problems)
        found, _ = CountryAccrual.objects.get_or_create(study=study, country_code=code)
        if status == found.status:
            return found
        if status not in _NEXT[CountryAccrual.Status(found.status)]:
            raise Problem(
                code="country_status",
                title=f"Accrual in this country is {found.get_status_display().lower()}.",
                action="It stays so.",
            )
        found.status = status
        found.save(update_fields=["status"])
        return found


def close_centre(centre: Centre, *, by: Actor, why: str) -> Centre:
    """Close a centre for good: no screening and no randomization. Subjects in the study go on."""
    with act("close centre", by=by, why=why):
        centre = lock(Centre.objects, centre.pk)
        if not why.strip():
            raise Invalid({"why": "Say why."})
        if centre.status == Centre.Status.CLOSED:
            raise Problem(
                code="centre_status",
                title=f"Centre {centre.number} is closed.",
                action="It stays closed.",
            )
        centre.status = Centre.Status.CLOSED
        centre.save(update_fields=["status"])
        return centre


def country_stopped(centre: str) -> Exists:
    """For a query: whether accrual in the country of its `centre` is paused or closed."""
    path = f"{centre}__" if centre else ""
    stopped = CountryAccrual.objects.exclude(status=CountryAccrual.Status.OPEN)
    return Exists(
        stopped.filter(study=OuterRef(f"{path}study"), country_code=OuterRef(f"{path}country_code"))
    )


def not_in_this_country(centre: Centre) -> Problem:
    """The refusal while accrual in the centre's country is paused or closed."""
    return Problem(
        code="country_not_open",
        title=f"The study takes no new subjects in {centre.country_name} now.",
        action="Subjects in the study go on. The study manager can say more.",
    )
