"""Who may do what where: the acts of a role (`iwrs.permissions`) at the places it is held.

A role in a study counts at each of its centres; a role at a centre counts there alone. What a
person may not even see does not exist for them (404); what they see but may not do is refused
(403).
"""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.db.models import Q, QuerySet
from django.http import Http404

from enrolment.models import Centre, Subject
from iwrs.accounts.models import User
from iwrs.actors import Actor
from iwrs.clock import real_today
from iwrs.models import Study
from iwrs.permissions import Act, may

Person = User | AnonymousUser  # whoever a request comes from


@dataclass(frozen=True)
class Held:
    """A role in force today: at one centre, or in a whole study (`centre_id` None)."""

    role: str
    study_code: str
    centre_id: int | None = None


def held_roles(user: Person) -> list[Held]:
    """The person's roles in force today, read once per request.

    The real calendar counts, also while a trial is replayed: a role that was taken away is gone.
    A role at a centre begins and ends by the centre's days, one in a whole study by those of UTC.
    """
    if isinstance(user, AnonymousUser) or not user.is_active:
        return []
    known: list[Held] | None = getattr(user, "_held_roles", None)
    if known is None:
        known = _roles_today(user)
        user._held_roles = known  # type: ignore[attr-defined]
    return known


# Asked for every page, so one statement that need not be composed each time. On the unblinded side
# its second half is left out: centre roles belong to accounts of the blinded side, and equal keys
# are other people.
_IN_STUDIES = """
    SELECT role, study_code, NULL::bigint AS centre, 'UTC' AS zone, since, until
      FROM accounts_studyrole
     WHERE user_id = %(user)s AND since <= %(last)s AND (until IS NULL OR until >= %(first)s)
"""
_AT_CENTRES = """
    UNION ALL
    SELECT r.role, s.code, c.id, c.time_zone, r.since, r.until
      FROM enrolment_centrerole r
      JOIN enrolment_centre c ON c.id = r.centre_id
      JOIN iwrs_study s ON s.id = c.study_id
     WHERE r.user_id = %(user)s AND r.since <= %(last)s
       AND (r.until IS NULL OR r.until >= %(first)s)
"""
# The first role that allows an act is the one that is recorded: one in the whole study before one
# at a centre.
_IN_ORDER = " ORDER BY centre NULLS FIRST, role"


def _roles_today(user: User) -> list[Held]:
    at_centres = _AT_CENTRES if settings.SIDE != "unblinded" else ""
    # No place's day is further than one from that of UTC; which one it is, is asked below.
    day, a_day = real_today(), timedelta(days=1)
    with connection.cursor() as cursor:
        cursor.execute(
            _IN_STUDIES + at_centres + _IN_ORDER,
            {"user": user.pk, "first": day - a_day, "last": day + a_day},
        )
        found = cursor.fetchall()
    return [
        Held(role, code, centre)
        for role, code, centre, zone, since, until in found
        if since <= real_today(zone) and (until is None or until >= real_today(zone))
    ]


def studies_for(user: Person, act: Act | None = None) -> "QuerySet[Study]":
    """Studies in which the person holds a role: any, or a study-wide one with this act."""
    held = held_roles(user)
    if act is not None:
        held = [each for each in held if each.centre_id is None and may(each.role, act)]
    return Study.objects.filter(code__in={each.study_code for each in held}).order_by("code")


def studies_of(user: Person) -> list[Study]:
    """The studies in which the person holds any role, read once per request."""
    known: list[Study] | None = getattr(user, "_studies", None)
    if known is None:
        known = list(studies_for(user)) if held_roles(user) else []
        user._studies = known  # type: ignore[union-attr]
    return known


def centres_for(user: Person, act: Act = Act.SEE_CENTRES) -> "QuerySet[Centre]":
    """Centres at which the person may do the act."""
    held = [each for each in held_roles(user) if may(each.role, act)]
    return Centre.objects.filter(
        Q(pk__in=[each.centre_id for each in held if each.centre_id is not None])
        | Q(study__code__in=[each.study_code for each in held if each.centre_id is None])
    ).select_related("study")


def subjects_for(user: Person, act: Act = Act.SEE_SUBJECTS) -> "QuerySet[Subject]":
    """Subjects for whom the person may do the act, with their centre and study."""
    held = [each for each in held_roles(user) if may(each.role, act)]
    return Subject.objects.filter(
        Q(centre_id__in=[each.centre_id for each in held if each.centre_id is not None])
        | Q(study__code__in=[each.study_code for each in held if each.centre_id is None])
    ).select_related("centre__study", "study")


def allowed(user: Person, act: Act, place: Centre | Study) -> bool:
    """True when the person may do the act at this centre or in this whole study."""
    return _role_for(user, act, place) is not None


def require(user: Person, act: Act, place: Centre | Study) -> Actor:
    """Return the person as actor, with the role that allows the act.

    Raises `Http404` for a stranger to the place, `PermissionDenied` for one whose roles there
    do not include the act.
    """
    role = _role_for(user, act, place)
    if role is not None:
        return Actor.person(user, role)
    if not any(_counts_at(each, place) for each in held_roles(user)):
        raise Http404
    raise PermissionDenied(f"Your role does not include this: {act}.")


def _role_for(user: Person, act: Act, place: Centre | Study) -> str | None:
    held = (each for each in held_roles(user) if _counts_at(each, place) and may(each.role, act))
    return next((each.role for each in held), None)


def _counts_at(held: Held, place: Centre | Study) -> bool:
    if isinstance(place, Study):
        return held.centre_id is None and held.study_code == place.code
    if held.centre_id is None:
        return held.study_code == place.study.code
    return held.centre_id == place.pk
