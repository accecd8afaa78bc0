"""Who works in a study: accounts, and the roles they hold in it or at a centre.

A role is given in one act with the account that it needs. Duties that one person may not join
(`iwrs.permissions.KEPT_APART`) are refused here, so at every door.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import Q

from enrolment.models import Centre, CentreRole
from iwrs.accounts.models import SITE_ROLES, UNBLINDED_ROLES, Role, StudyRole, User
from iwrs.accounts.services import check_password_text
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.locks import lock
from iwrs.models import Study
from iwrs.permissions import one_person_may_hold
from iwrs.problems import Invalid, Problem

AT_A_CENTRE = SITE_ROLES | {Role.MONITOR}
LONGEST_NAME = 120
HeldT = TypeVar("HeldT", CentreRole, StudyRole)


@dataclass(frozen=True)
class Person:
    """A person who gets a role. The password is for a new account; None leaves it unset."""

    email: str
    name: str
    password: str | None = None


def give_study_role(study: Study, person: Person, role: str, *, by: Actor) -> StudyRole:
    """Give a role in the whole study, and an account to a person who has none.

    An account that was ended is opened again with the new password. Giving a role again changes
    nothing. Raises `Invalid` for a role of the other side of the blind, `Problem` for one that
    the person may not join with the roles held already.
    """
    if role in SITE_ROLES:
        raise Invalid({"role": f"{Role(role).label} is a role at one centre. Name the centre."})
    _require_this_side(role)
    with act("give study role", by=by):
        user = _account(person)
        _require_apart(user, study, role)
        key = {"user": user, "study_code": study.code, "role": role}
        return _begun(StudyRole.objects.filter(**key).first() or StudyRole(**key))


def add_to_centre(centre: Centre, person: Person, role: str, *, by: Actor) -> CentreRole:
    """Give a role at one centre, and an account to a person who has none.

    Errors as for `give_study_role`. A role that ended begins again today.
    """
    if role not in AT_A_CENTRE:
        raise Invalid({"role": "This role is not held at one centre."})
    _require_this_side(role)
    with act("give centre role", by=by):
        centre = lock(Centre.objects.select_related("study"), centre.pk)
        user = _account(person)
        _require_apart(user, centre.study, role)
        key = {"user": user, "centre": centre, "role": role}
        return _begun(CentreRole.objects.filter(**key).first() or CentreRole(**key))


def end_centre_role(held: CentreRole, *, by: Actor, why: str) -> CentreRole:
    """End a role at a centre at once: yesterday was its last day. The account stays."""
    with act("end centre role", by=by, why=why):
        held = lock(CentreRole.objects, held.pk)
        held.until = real_today() - timedelta(days=1)
        held.save(update_fields=["until"])
        return held


def real_today() -> date:
    """Today on the real calendar, by which roles count also while a trial is replayed."""
    return datetime.now(UTC).date()


def _begun(held: HeldT) -> HeldT:
    """A role that is new, or that ended, begins today; one in force stays as it is."""
    if held.pk is None or held.until is not None:
        held.since, held.until = real_today(), None
        held.save()
    return held


def _account(person: Person) -> User:
    """The person's account: as it is, new, or opened again with the new password."""
    email = _checked(person)
    user = User.objects.filter(email__iexact=email).first()
    if user is not None and user.is_active:
        return user
    if user is not None and person.password is None:
        raise Invalid(
            {
                "email": "The account of this person was ended. Who runs the system can open it "
                "again, with a new password."
            }
        )
    user = user or User(email=email, name=person.name.strip())
    if person.password is not None:
        check_password_text(person.password, user)
    user.is_active = True
    user.set_password(person.password)
    user.save()
    return user


def _checked(person: Person) -> str:
    errors = {}
    email = person.email.strip().lower()
    try:
        validate_email(email)
    except ValidationError:
        errors["email"] = "Give an e-mail address, for example name@hospital.org."
    if not 0 < len(person.name.strip()) <= LONGEST_NAME:
        errors["name"] = f"Give the person's name, at most {LONGEST_NAME} characters."
    if errors:
        raise Invalid(errors)
    return email


def _require_this_side(role: str) -> None:
    side = "unblinded" if role in UNBLINDED_ROLES else "blinded"
    if side != settings.SIDE:
        raise Invalid(
            {
                "role": f"{Role(role).label} is a role of the {side} side. Give it there, where "
                "that person signs in."
            }
        )


def _require_apart(user: User, study: Study, role: str) -> None:
    held = _roles_in(user, study)
    if not one_person_may_hold({*held, role}):
        names = ", ".join(sorted(Role(each).label for each in held))
        raise Problem(
            code="duties_kept_apart",
            title=f"{user.name} is already {names} in this study.",
            action=f"One person cannot also be {Role(role).label}. Choose another person.",
        )


def _roles_in(user: User, study: Study) -> set[str]:
    """Roles in the study that have not ended, whether they count today or later."""
    not_over = Q(until__isnull=True) | Q(until__gte=real_today())
    in_study = StudyRole.objects.filter(not_over, user=user, study_code=study.code)
    held = set(in_study.values_list("role", flat=True))
    if settings.SIDE == "blinded":  # centre roles belong to accounts of that side
        at_centres = CentreRole.objects.filter(not_over, user=user, centre__study=study)
        held |= set(at_centres.values_list("role", flat=True))
    return held
