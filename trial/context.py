"""What every page knows: the study, the side, the present business time, where to go."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.urls import reverse

from enrolment.access import Person, held_roles, studies_of
from iwrs import clock
from iwrs.accounts.models import Role
from iwrs.models import Study
from iwrs.permissions import Act, may
from trial.middleware import SIGNED_OUT_AFTER, moment_of


@dataclass(frozen=True)
class Place:
    """One entry of the navigation."""

    label: str
    address: str
    current: bool


def site(request: HttpRequest) -> dict[str, Any]:
    """The variable `site` of every template. Works for nobody signed in, and for both sides."""
    user: Person = getattr(request, "user", None) or AnonymousUser()
    studies = studies_of(user)
    simulated = [each for each in studies if each.simulated]
    return {
        "site": {
            "side": settings.SIDE,
            "second_factor": settings.SECOND_FACTOR,
            "directory": settings.DIRECTORY,
            # A minute early: a session is touched once a minute.
            "ends_after": SIGNED_OUT_AFTER - 60,
            "studies": studies,
            "simulated": bool(simulated) if user.is_authenticated else _any_simulated(),
            "training": [each.code for each in studies if each.training],
            "only_training": bool(studies) and all(each.training for each in studies),
            "replayed": moment_of(studies) is not None,
            "now": clock.now(),
            "roles": _role_names(user) if studies else [],
            "nav": _nav(request, user) if studies and settings.SIDE == "blinded" else [],
        }
    }


def _any_simulated() -> bool:
    """Nobody is signed in: say it already at the door."""
    return Study.objects.filter(simulated=True).exists()


def _role_names(user: Person) -> list[str]:
    return sorted({Role(each.role).label for each in held_roles(user)})


def _nav(request: HttpRequest, user: Person) -> list[Place]:
    held = held_roles(user)
    places = [("Home", reverse("home"))]
    if any(may(each.role, Act.SEE_SUBJECTS) for each in held):
        places.append(("Subjects", reverse("subjects")))
    if any(may(each.role, Act.SEE_CENTRES) for each in held):
        places.append(("Centres", reverse("centres")))
    seen = sorted({e.study_code for e in held if not e.centre_id and may(e.role, Act.SEE_ACCRUAL)})
    places += [("Accrual", reverse("accrual", args=[code])) for code in seen[:1]]
    breaks = {e.study_code for e in held if not e.centre_id and may(e.role, Act.SEE_CODE_BREAKS)}
    places += [("Code breaks", reverse("code-breaks", args=[code])) for code in sorted(breaks)[:1]]
    counted = {e.study_code for e in held if not e.centre_id and may(e.role, Act.SEE_EVENT_COUNT)}
    places += [("Analysis", reverse("analysis", args=[code])) for code in sorted(counted)[:1]]
    read = sorted({e.study_code for e in held if not e.centre_id and may(e.role, Act.SEE_AUDIT)})
    places += [("Audit trail", reverse("audit", args=[code])) for code in read[:1]]
    here = request.path
    return [
        Place(label, to, here == to or (to != "/" and here.startswith(to))) for label, to in places
    ]
