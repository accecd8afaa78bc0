"""Every address of both sites and of the API, and what a caller must hold to get in.

`iwrs.permissions` says which role may do which act; here stands which act each address is. A new
address needs a row: tests/authority/test_permission_walk.py tries each address with every role and
fails for one without. docs/permissions.md is made from both by `manage.py permissions`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

from enrolment.people import AT_A_CENTRE
from iwrs.accounts.models import Role
from iwrs.permissions import Act, may

SITES = {"blinded": "trial.urls", "unblinded": "trial.urls_unblinded"}


class Of(StrEnum):
    """What an address is about; it decides who is told that it exists."""

    ANYBODY = "anybody"  # no sign-in asked
    PERSON = "any person who is signed in"  # own account, own work; shows what the roles let see
    STUDY = "study"  # exists for who holds a role in the whole study
    CENTRE = "centre"  # exists for who sees the centre
    SUBJECT = "subject"  # exists for who sees the subject


class Answer(StrEnum):
    """What a signed-in person with one role gets."""

    IN = "let in"
    REFUSED = "refused (403)"
    NOWHERE = "not found (404)"


@dataclass(frozen=True)
class Door:
    """One address. `own` means that it exists for the person alone who made what it shows."""

    of: Of
    act: Act | None = None
    own: bool = False

    def answer(self, role: Role, *, in_study: bool) -> Answer:
        """What a person gets with this role, held here: in the whole study, or at the centre."""
        if self.of in {Of.ANYBODY, Of.PERSON}:
            return Answer.IN
        seen = {
            Of.STUDY: in_study,
            Of.CENTRE: may(role, Act.SEE_CENTRES),
            Of.SUBJECT: may(role, Act.SEE_SUBJECTS),
        }[self.of]
        does = self.act is not None and may(role, self.act)
        if self.own:
            return Answer.IN if seen and does else Answer.NOWHERE
        if not seen:
            return Answer.NOWHERE
        return Answer.IN if does else Answer.REFUSED


def on_study(act: Act) -> Door:
    return Door(Of.STUDY, act)


def on_centre(act: Act) -> Door:
    return Door(Of.CENTRE, act)


def on_subject(act: Act) -> Door:
    return Door(Of.SUBJECT, act)


OPEN = Door(Of.ANYBODY)
SIGNED_IN = Door(Of.PERSON)

# Both sites, each with its own accounts.
ACCOUNTS = {
    "home": SIGNED_IN,
    "health": OPEN,
    "sign-in": OPEN,
    "account_login": OPEN,
    "sign-out": OPEN,
    "forgotten-password": OPEN,
    "choose-password": OPEN,
    "set-password": OPEN,
    "change-password": SIGNED_IN,
    # second factors
    "mfa_authenticate": OPEN,
    "account_reauthenticate": SIGNED_IN,
    "mfa_reauthenticate": SIGNED_IN,
    "mfa_index": SIGNED_IN,
    "mfa_activate_totp": SIGNED_IN,
    "mfa_deactivate_totp": SIGNED_IN,
    "mfa_generate_recovery_codes": SIGNED_IN,
    "mfa_view_recovery_codes": SIGNED_IN,
    # passkeys and a sponsor's own directory
    "mfa_add_webauthn": SIGNED_IN,
    "mfa_remove_webauthn": SIGNED_IN,
    "mfa_reauthenticate_webauthn": SIGNED_IN,
    "mfa_login_webauthn": OPEN,
    "openid_connect_login": OPEN,
    "openid_connect_callback": OPEN,
    # sessions
    "sessions": SIGNED_IN,
    "stay": SIGNED_IN,
}

PORTAL = {
    "subjects": SIGNED_IN,
    "centres": SIGNED_IN,
    # centres and people
    "centre": on_centre(Act.SEE_CENTRES),
    "add-centre": on_study(Act.MANAGE_CENTRES),
    "activate-centre": on_centre(Act.MANAGE_CENTRES),
    "suspend-centre": on_centre(Act.MANAGE_CENTRES),
    "close-centre": on_centre(Act.MANAGE_CENTRES),
    "people": on_centre(Act.MANAGE_PEOPLE),
    "add-person": on_centre(Act.MANAGE_PEOPLE),
    "person-link": on_centre(Act.MANAGE_PEOPLE),
    "end-centre-role": on_centre(Act.MANAGE_PEOPLE),
    "add-study-person": on_study(Act.MANAGE_PEOPLE),
    "study-person": on_study(Act.SEE_ACCOUNTS),
    "end-access": on_study(Act.MANAGE_PEOPLE),
    "reset-factors": on_study(Act.MANAGE_PEOPLE),
    "end-study-role": on_study(Act.MANAGE_PEOPLE),
    "access": on_study(Act.SEE_PEOPLE),
    "access-csv": on_study(Act.SEE_PEOPLE),
    "review-access": on_study(Act.REVIEW_ACCESS),
    "delegation-log": on_centre(Act.SEE_PEOPLE),
    "delegation-csv": on_centre(Act.SEE_PEOPLE),
    # a subject's way
    "screen": on_centre(Act.SCREEN),
    "subject": on_subject(Act.SEE_SUBJECTS),
    "change-answers": on_subject(Act.SCREEN),
    "screen-failure": on_subject(Act.SCREEN),
    "rescreen": on_subject(Act.SCREEN),
    "ask-deviation": on_subject(Act.REQUEST_DEVIATION),
    "approve-deviation": on_subject(Act.APPROVE_DEVIATION),
    "randomize": on_subject(Act.RANDOMIZE),
    "randomize-late": on_subject(Act.RANDOMIZE),
    "randomized": on_subject(Act.SEE_SUBJECTS),
    "assign-kit": on_subject(Act.DISPENSE),
    "hand-over": on_subject(Act.DISPENSE),
    "first-dose": on_subject(Act.DISPENSE),
    "stop-drug": on_subject(Act.RECORD_COURSE),
    "reduce-dose": on_subject(Act.REDUCE_DOSE),
    "confirm-randomization": on_subject(Act.CONFIRM),
    "confirm-reduction": on_subject(Act.CONFIRM),
    "record-visit": on_subject(Act.RECORD_COURSE),
    "miss-visit": on_subject(Act.RECORD_COURSE),
    "central-read": on_subject(Act.RECORD_CENTRAL_READ),
    "event": on_subject(Act.RECORD_COURSE),
    "contact": on_subject(Act.RECORD_COURSE),
    "facts": on_subject(Act.SEE_SUBJECTS),
    "correct": on_subject(Act.CORRECT),
    "correct-central-read": on_subject(Act.RECORD_CENTRAL_READ),
    "mark-in-error": on_subject(Act.CORRECT),
    "verify-stratum": on_subject(Act.CORRECT),
    # code breaks
    "ask-code-break": on_subject(Act.BREAK_CODE),
    "code-break": Door(Of.SUBJECT, Act.BREAK_CODE, own=True),
    "code-breaks": on_study(Act.SEE_CODE_BREAKS),
    "assess-code-break": on_study(Act.ASSESS_CODE_BREAK),
    "drill": on_centre(Act.PRACTISE_CODE_BREAK),
    "request-drill": Door(Of.CENTRE, Act.PRACTISE_CODE_BREAK, own=True),
    "show-drill": Door(Of.CENTRE, Act.PRACTISE_CODE_BREAK, own=True),
    # sealed packs
    "packs": on_study(Act.SEE_PACKS),
    "download-pack": on_centre(Act.KEEP_PACKS),
    "download-paper": on_study(Act.KEEP_PACKS),
    "record-opening": on_centre(Act.RECORD_OPENING),
    "emergency-procedure": on_centre(Act.SEE_CENTRES),
    # the audit trail
    "audit": on_study(Act.SEE_AUDIT),
    "audit-csv": on_study(Act.SEE_AUDIT),
    "audit-pdf": on_study(Act.SEE_AUDIT),
    "audit-review": on_study(Act.REVIEW_AUDIT),
    "subject-audit": on_subject(Act.SEE_SUBJECTS),
    # the study
    "accrual": on_study(Act.SEE_ACCRUAL),
    "change-accrual": on_study(Act.MANAGE_ACCRUAL),
    "opened": on_study(Act.SEE_OPENED),
    "opened-csv": on_study(Act.SEE_OPENED),
    "opened-proofs": on_study(Act.SEE_OPENED),
    "country-accrual": on_study(Act.MANAGE_ACCRUAL),
    "analysis": on_study(Act.SEE_EVENT_COUNT),
    "open-reports": on_study(Act.SEE_OPEN_REPORT),
    "open-report": on_study(Act.SEE_OPEN_REPORT),
    "open-report-csv": on_study(Act.SEE_OPEN_REPORT),
    "open-report-pdf": on_study(Act.SEE_OPEN_REPORT),
    "cut-data": on_study(Act.CUT_DATA),
    "request-extract": on_study(Act.REQUEST_EXTRACT),
    "release-extract": on_study(Act.RELEASE_EXTRACT),
    "download-extract": on_study(Act.REQUEST_EXTRACT),
    # the API's tokens and its documentation
    "api-token": OPEN,
    "api-schema": OPEN,
    "api-docs": OPEN,
    "api-problems": OPEN,
    "api-problem": OPEN,
    "api/": OPEN,  # every other address under /api/ is a 404 for everybody
}

UNBLINDED = {
    "generate-list": on_study(Act.MANAGE_LIST),
    "approve-list": on_study(Act.MANAGE_LIST),
    "unblind-study": on_study(Act.UNBLIND_STUDY),
    "close-list": on_study(Act.MANAGE_LIST),
    "import-list": on_study(Act.MANAGE_LIST),
    "extend-list": on_study(Act.MANAGE_LIST),
    "approve-extension": on_study(Act.MANAGE_LIST),
    "withdraw-extension": on_study(Act.MANAGE_LIST),
    "split-seed": on_study(Act.MANAGE_LIST),
    "commit-share": on_study(Act.MANAGE_LIST),
    "open-share": on_study(Act.MANAGE_LIST),
    "end-split-seed": on_study(Act.MANAGE_LIST),
    "release-allocation": on_study(Act.MANAGE_LIST),
    "simulations": on_study(Act.MANAGE_LIST),
    "ask-simulation": on_study(Act.MANAGE_LIST),
    "simulation": on_study(Act.MANAGE_LIST),
    "simulation-pdf": on_study(Act.MANAGE_LIST),
    "forced-allocations": on_study(Act.FORCE_ALLOCATION),
    "force-allocation": on_study(Act.FORCE_ALLOCATION),
    "import-kits": on_study(Act.MANAGE_STOCK),
    "stock-centre": on_study(Act.MANAGE_STOCK),
    "release-kit-calls": on_study(Act.MANAGE_STOCK),
    "releases": on_study(Act.MANAGE_LIST),
    "register-key": on_study(Act.MANAGE_LIST),
    "packs": on_study(Act.MANAGE_LIST),
    "make-packs": on_study(Act.MANAGE_LIST),
    "register-holder": on_study(Act.MANAGE_LIST),
    "end-holder": on_study(Act.MANAGE_LIST),
    "paper-numbers": on_study(Act.ACCEPT_PAPER),
    "accept-paper": on_study(Act.ACCEPT_PAPER),
    "audit": on_study(Act.SEE_UNBLINDED_AUDIT),
    "audit-csv": on_study(Act.SEE_UNBLINDED_AUDIT),
    "audit-pdf": on_study(Act.SEE_UNBLINDED_AUDIT),
    "audit-review": on_study(Act.REVIEW_UNBLINDED_AUDIT),
    "access": on_study(Act.SEE_UNBLINDED_PEOPLE),
    "access-csv": on_study(Act.SEE_UNBLINDED_PEOPLE),
    "review-access": on_study(Act.REVIEW_UNBLINDED_ACCESS),
}

DOORS = {"blinded": ACCOUNTS | PORTAL, "unblinded": ACCOUNTS | UNBLINDED}

_SUBJECT = "api/v1/subjects/<subject:number>"

# Operations of the API: the scope that a client needs. Clients hold no roles.
OPERATIONS = {
    "GET api/v1/centres": "subjects:read",
    "GET api/v1/subjects": "subjects:read",
    "POST api/v1/subjects": "subjects:screen",
    f"GET {_SUBJECT}": "subjects:read",
    f"POST {_SUBJECT}/screen-failure": "subjects:screen",
    f"POST {_SUBJECT}/rescreening": "subjects:screen",
    f"GET {_SUBJECT}/randomization": "subjects:read",
    f"POST {_SUBJECT}/randomization": "subjects:randomize",
    f"GET {_SUBJECT}/randomization/marks": "subjects:read",
    f"GET {_SUBJECT}/dispensations": "subjects:read",
    f"POST {_SUBJECT}/dispensations/<sequence:n>/assignment": "kits:dispense",
    f"POST {_SUBJECT}/dispensations/<sequence:n>/hand-over": "kits:dispense",
    f"POST {_SUBJECT}/first-dose": "kits:dispense",
    f"POST {_SUBJECT}/dose-reductions": "kits:dispense",
    f"POST {_SUBJECT}/drug-stops": "kits:dispense",
    f"GET {_SUBJECT}/visits": "subjects:read",
    f"POST {_SUBJECT}/visits/<sequence:n>/report": "assessments:report",
    f"POST {_SUBJECT}/visits/<sequence:n>/missed": "assessments:report",
    f"POST {_SUBJECT}/reads": "assessments:report",
    f"POST {_SUBJECT}/events": "assessments:report",
    f"POST {_SUBJECT}/contacts": "assessments:report",
}


@dataclass(frozen=True)
class Address:
    """One pattern of a site. `methods` are those of an operation of the API, else empty."""

    key: str
    route: str
    parameters: frozenset[str]
    view: Any
    methods: tuple[str, ...] = ()


def addresses(side: str) -> list[Address]:
    """Every address of a site, the API's included, from the site's own patterns."""
    return list(_walk(get_resolver(SITES[side]), "", frozenset()))


def _walk(resolver: Any, before: str, outer: frozenset[str]) -> Iterator[Address]:
    for each in resolver.url_patterns:
        route, parameters = before + str(each.pattern), outer | set(each.pattern.converters)
        if isinstance(each, URLResolver):
            yield from _walk(each, route, parameters)
        elif isinstance(each, URLPattern):
            view = getattr(each.callback, "view_class", getattr(each.callback, "cls", None))
            methods = tuple(m for m in ("GET", "POST") if hasattr(view, m.lower()))
            is_operation = bool(getattr(view, "scopes", None))
            yield Address(
                each.name or route, route, parameters, view, methods if is_operation else ()
            )


def held_in_study(role: Role, side: str) -> bool:
    """True when the role is held in a whole study on this side, False when at a centre."""
    return side == "unblinded" or role not in AT_A_CENTRE


def without_row(side: str) -> list[str]:
    """For each address that has no row, and each row that has no address: what to do."""
    known, doors = addresses(side), DOORS[side]
    table = "PORTAL" if side == "blinded" else "UNBLINDED"
    pages = {each.key: each for each in known if not each.methods}
    operations = {f"{m} {each.route}" for each in known for m in each.methods}
    return [
        *(
            f'/{pages[key].route} ({key!r}) has no row. Add "{key}": on_subject(Act.…), on_centre, '
            f"on_study, SIGNED_IN or OPEN to {table}, {_where(table)} (to ACCOUNTS, if both sites "
            "have the address); then run "
            "`manage.py permissions > docs/permissions.md`."
            for key in sorted(pages.keys() - doors.keys())
        ),
        *(
            f"{key!r} in {_where(table)} names no address of the {side} site. Take the row out."
            for key in sorted(doors.keys() - pages.keys())
        ),
        *(
            f"Operation {key!r} has no row. Add it with its scope to OPERATIONS, "
            f"{_where('OPERATIONS')}; then run `manage.py permissions > docs/permissions.md`."
            for key in sorted(operations - OPERATIONS.keys())
        ),
        *(
            f"{key!r} in {_where('OPERATIONS')} names no operation. Take the row out."
            for key in sorted(OPERATIONS.keys() - operations)
            if side == "blinded"
        ),
    ]


def _where(table: str) -> str:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    number = next(n for n, line in enumerate(lines, 1) if line.startswith(f"{table} = {{"))
    return f"trial/doors.py line {number}"
