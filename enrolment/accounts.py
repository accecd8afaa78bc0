"""What those who look after people do to another's account: end it, take away second factors."""

from collections.abc import Collection
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from enrolment.access import studies_for
from enrolment.people import end_roles, require_another, roles_not_over
from iwrs.accounts.factors import require_reason, take_away
from iwrs.accounts.models import User
from iwrs.accounts.services import close
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.locks import lock
from iwrs.models import Study
from iwrs.permissions import Act
from iwrs.problems import Invalid, Problem


@dataclass(frozen=True)
class Ended:
    """What came to an end: the account with its sessions, or roles in one study alone."""

    account: bool
    sessions: int = 0
    roles: int = 0


def people_of(study: Study) -> "QuerySet[User]":
    """Everybody who ever held a role in the study or at its centres."""
    found = Q(study_roles__study_code=study.code) | Q(centre_roles__centre__study=study)
    return User.objects.filter(found).distinct()


def looked_after_by(person: User) -> set[str]:
    """Codes of the studies whose people this person looks after."""
    return set(studies_for(person, Act.MANAGE_PEOPLE).values_list("code", flat=True))


def works_elsewhere(user: User, managed: Collection[str]) -> bool:
    """True when a role that is not over belongs to a study outside `managed` (codes)."""
    in_studies, at_centres = roles_not_over(user)
    codes = {each.study_code for each in in_studies}
    codes |= {each.centre.study.code for each in at_centres}
    return bool(codes - set(managed))


def end_access(user: User, study: Study, *, managed: Collection[str], by: Actor, why: str) -> Ended:
    """End a person's account and sessions at once, or only the roles in `study`.

    The account ends when all roles that are not over lie in the studies `managed` (codes), which
    the actor looks after. Others may rely on the rest: then only the roles in `study` end. Raises
    `Invalid` on `why`, and `Problem` for one's own account (`own_account`), one that is ended
    already (`account_ended`), or when there is no role to end (`no_role_here`).
    """
    if not why.strip():
        raise Invalid({"why": "Write why this access ends."})
    with act("end access", by=by, why=why):
        row = _other_account(user, by)
        if not works_elsewhere(row, managed):
            return Ended(account=True, sessions=close(row, by=by, why=why))
        ended = end_roles(row, study)
        if not ended:
            raise _no_role_here()
        return Ended(account=False, roles=ended)


def reset_second_factors(
    user: User, study: Study, *, managed: Collection[str], by: Actor, why: str
) -> int:
    """Take away the second factors of a person of the study, who lost them. Ends the sessions.

    Returns how many were taken away. Errors as for `end_access`: who has no role in the study
    (any more) is not its people's to look after. Nor is who also works in a study outside
    `managed` (`works_elsewhere`): anybody could give such a person a role here first.
    """
    require_reason(why)
    with act("reset second factors", by=by, why=why):
        row = _other_account(user, by)
        in_studies, at_centres = roles_not_over(row)
        codes = {each.study_code for each in in_studies}
        if study.code not in codes | {each.centre.study.code for each in at_centres}:
            raise _no_role_here()
        if works_elsewhere(row, managed):
            raise _not_ours_alone()
        return take_away(row, by=by, why=why)


def _other_account(user: User, by: Actor) -> User:
    """The account, locked for the rest of the act: no role is given to it meanwhile."""
    row = lock(User.objects, user.pk)
    require_another(row, by)
    if not row.is_active:
        raise Problem(
            code="account_ended",
            title=f"The account of {row.name} is ended already.",
            action="Nothing was changed. Who runs the system can open it again.",
        )
    return row


def _no_role_here() -> Problem:
    return Problem(
        code="no_role_here",
        title="This person has no role in this study any more.",
        action="Nothing was changed. Other studies look after their people themselves.",
    )


def _not_ours_alone() -> Problem:
    return Problem(
        code="works_elsewhere",
        title="This person also works in a study that you do not look after.",
        action="Nothing was changed. Who runs the system can reset the second factors, by the "
        "command `manage.py account reset-factors`.",
    )
