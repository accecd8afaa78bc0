"""Who works in a study: accounts, and the roles they hold in it or at a centre.

A role is given in one act with the account that it needs. Duties that one person may not join
(`iwrs.permissions.KEPT_APART`) are refused here, so at every door.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypeVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import Q

from enrolment.models import Centre, CentreRole
from iwrs.accounts.links import invite, too_many_letters, used_already, waits
from iwrs.accounts.models import SITE_ROLES, UNBLINDED_ROLES, Role, StudyRole, User
from iwrs.accounts.services import check_password_text
from iwrs.actors import CLIENT, LONGEST_LABEL, Actor
from iwrs.acts import act
from iwrs.clock import real_today
from iwrs.locks import lock
from iwrs.models import Study
from iwrs.permissions import may_review_a_trail, one_person_may_hold
from iwrs.problems import Invalid, Problem

AT_A_CENTRE = SITE_ROLES | {Role.MONITOR}
LONGEST_NAME = 120
HeldT = TypeVar("HeldT", bound=CentreRole | StudyRole)


@dataclass(frozen=True)
class Person:
    """A person who gets a role. The password is for a new account; None leaves it unset."""

    email: str
    name: str
    password: str | None = None


@dataclass(frozen=True)
class Days:
    """First and last day of a role: the centre's days, or those of UTC for a whole study.

    No first day means today, no last day means until somebody ends the role.
    """

    first: date | None = None
    last: date | None = None


def give_study_role(
    study: Study, person: Person, role: str, *, by: Actor, days: Days = Days()
) -> StudyRole:
    """Give a role in the whole study, and an account to a person who has none.

    An account that was ended is opened again with the new password. Giving a role again changes
    nothing but its days. A person who never used the account is invited by letter
    (`held.invited`). Raises `Invalid` for a
    role of the other side of the blind, `Problem` for one that the person may not join with the
    roles held already, or (`both_sides`) for a person who ever held a role of the other side in
    this study. Nobody gives a role to the own account (`own_account`).
    """
    if role in SITE_ROLES:
        raise Invalid({"role": f"{Role(role).label} is a role at one centre. Name the centre."})
    _require_this_side(role)
    with act("give study role", by=by):
        user = lock(User.objects, _account(person).pk)  # one role after the other
        require_another(user, by)
        _require_apart(user, study, role)
        key = {"user": user, "study_code": study.code, "role": role}
        held = StudyRole.objects.filter(**key).first() or StudyRole(**key)
        held = _begun(held, days, real_today())
        held.invited = invite(user, by=by)
        return held


def add_to_centre(
    centre: Centre, person: Person, role: str, *, by: Actor, days: Days = Days()
) -> CentreRole:
    """Give a role at one centre, and an account to a person who has none.

    Errors as for `give_study_role`. A role that ended begins again today.
    """
    if role not in AT_A_CENTRE:
        raise Invalid({"role": "This role is not held at one centre."})
    _require_this_side(role)
    with act("give centre role", by=by):
        centre = lock(Centre.objects.select_related("study"), centre.pk)
        user = lock(User.objects, _account(person).pk)
        _require_apart(user, centre.study, role)
        key = {"user": user, "centre": centre, "role": role}
        held = CentreRole.objects.filter(**key).first() or CentreRole(**key)
        held = _begun(held, days, real_today(centre.time_zone))
        held.invited = invite(user, by=by)
        return held


def invite_again(user: User, *, by: Actor) -> None:
    """Send another invitation to a person who has not used the account.

    Raises `Problem` (`too_many_letters`, 429) after three in an hour, or `account_used`.
    """
    with act("invite again", by=by):
        if not waits(lock(User.objects, user.pk)):
            raise used_already()
        if not invite(user, by=by):
            raise too_many_letters()


def end_centre_role(
    held: CentreRole, *, by: Actor, why: str, last_day: date | None = None
) -> CentreRole:
    """End a role at a centre: at once, so that yesterday was its last day, or on a day to come.

    The account stays. Raises `Invalid` on `last_day` for a day that is over.
    """
    with act("end centre role", by=by, why=why):
        held = lock(CentreRole.objects.select_related("centre"), held.pk)
        return _ended(held, last_day, real_today(held.centre.time_zone))


def end_study_role(
    held: StudyRole, *, by: Actor, why: str, last_day: date | None = None
) -> StudyRole:
    """End a role in a whole study, as `end_centre_role` does at a centre.

    Raises `Problem` (`own_account`) for a role of one's own: a study must not lose its last manager
    by a slip.
    """
    with act("end study role", by=by, why=why):
        held = lock(StudyRole.objects.select_related("user"), held.pk)
        require_another(held.user, by)
        return _ended(held, last_day, real_today())


def end_roles(user: User, study: Study) -> int:
    """End all roles of a person in a study and at its centres at once, within an open act.

    Returns how many there were.
    """
    in_studies, at_centres = roles_not_over(user)
    ending: list[tuple[StudyRole | CentreRole, str]] = [
        *((each, "UTC") for each in in_studies if each.study_code == study.code),
        *((each, each.centre.time_zone) for each in at_centres if each.centre.study_id == study.pk),
    ]
    for held, zone in ending:
        _ended(held, None, real_today(zone))
    return len(ending)


def require_another(user: User, by: Actor) -> None:
    """Raise `Problem` when a person would do this to the own account."""
    if by.label == str(user):
        raise Problem(
            code="own_account",
            title="This is your own account.",
            action="Nothing was changed. Ask another person who looks after accounts.",
        )


def _ended(held: HeldT, last_day: date | None, today: date) -> HeldT:
    if last_day is not None and last_day < today:
        raise Invalid({"last_day": "This day is over. Leave it empty to end the role now."})
    held.until = last_day or today - timedelta(days=1)
    held.save(update_fields=["until"])
    return held


def _begun(held: HeldT, days: Days, today: date) -> HeldT:
    """Set the days of a role. One in force keeps its first day; a last day not given is open."""
    in_force = (
        held.pk is not None and held.since <= today and (held.until is None or held.until >= today)
    )
    first = days.first or (held.since if in_force else today)
    if first < today and not (in_force and first == held.since):
        raise Invalid({"since": "A role begins today or later."})
    if days.last is not None and days.last < max(first, today):
        raise Invalid({"until": "The last day is over, or before the first day."})
    if held.pk is None or (held.since, held.until) != (first, days.last):
        held.since, held.until = first, days.last
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
    elif " ".join(person.name.split()).casefold().startswith(CLIENT.strip().casefold()):
        # What such a person signs on the portal would look as if an EDC system had recorded it.
        errors["name"] = f"Give the person's own name. {CLIENT.strip()} stands before EDC systems."
    elif len(str(User(name=person.name.strip(), email=email))) > LONGEST_LABEL:
        errors["email"] = f"Name and e-mail address together are over {LONGEST_LABEL} characters."
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
    held, verb = _roles_in(user, study), "is already"
    if one_person_may_hold({*held, role}) and may_review_a_trail(role):
        # What somebody did before is in the trail that would be reviewed.
        held, verb = _roles_ever_in(user, study), "was"
    if not one_person_may_hold({*held, role}):
        names = ", ".join(sorted(Role(each).label for each in held))
        raise Problem(
            code="duties_kept_apart",
            title=f"{user.name} {verb} {names} in this study.",
            action=f"One person cannot also be {Role(role).label}. Choose another person.",
        )


def _roles_in(user: User, study: Study) -> set[str]:
    """Roles in the study that have not ended, whether they count today or later."""
    in_study, at_centres = roles_not_over(user)
    return {each.role for each in in_study if each.study_code == study.code} | {
        each.role for each in at_centres if each.centre.study_id == study.pk
    }


def _roles_ever_in(user: User, study: Study) -> set[str]:
    held = set(user.study_roles.filter(study_code=study.code).values_list("role", flat=True))
    if settings.SIDE == "unblinded":
        return held
    at_centres = user.centre_roles.filter(centre__study=study)
    return held | set(at_centres.values_list("role", flat=True))


def roles_not_over(user: User) -> tuple[list[StudyRole], list[CentreRole]]:
    """A person's roles, in whole studies and at centres, that count today or later."""
    not_over = Q(until__isnull=True) | Q(until__gte=real_today())
    in_studies = list(StudyRole.objects.filter(not_over, user=user).order_by("study_code", "role"))
    if settings.SIDE == "unblinded":  # centre roles belong to accounts of the blinded side
        return in_studies, []
    at_centres = CentreRole.objects.filter(user=user).select_related("centre__study")
    return in_studies, [
        each
        for each in at_centres.order_by("centre__number", "role")
        if each.until is None or each.until >= real_today(each.centre.time_zone)
    ]


def roles_in_words(user: User) -> list[str]:
    """Each of a person's roles that are not over, as a letter says it."""
    in_studies, at_centres = roles_not_over(user)
    return [f"{each.get_role_display()}, study {each.study_code}" for each in in_studies] + [
        f"{each.get_role_display()}, centre {each.centre}, study {each.centre.study.code}"
        for each in at_centres
    ]
