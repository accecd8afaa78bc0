"""The page docs/permissions.md: who may do what, as the code says it."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.conf import settings

from iwrs.accounts.models import UNBLINDED_ROLES, Role
from iwrs.permissions import KEPT_APART, MAY, READING, READING_UNBLINDED, Act, may
from trial.doors import (
    DOORS,
    OPERATIONS,
    Address,
    Answer,
    Door,
    Of,
    addresses,
    held_in_study,
)

HEAD = """# Who may do what

Made by `manage.py permissions > docs/permissions.md` from `iwrs/permissions.py` (role and act) and
`trial/doors.py` (address and act). Do not edit it by hand: a test compares it with the code.

`tests/authority/test_permission_walk.py` tries every address below with every role, with GET and
POST, and as nobody, as people of another centre and another study, with a role that has ended or
not begun, with a closed account and with a session that ran out; then it compares the answers with
these tables. An address without a row fails it.

## A new address
1. Give its view an `act` (a page of `enrolment.pages`), or the `scopes` of an operation.
2. Add a row in `trial/doors.py`: `PORTAL`, `UNBLINDED` or `OPERATIONS`.
3. If it is about an object of a new kind, name one in `tests/portal/test_scope.py`: `objects_of`
   for its key, `MORE` for other parameters.
4. Write this page again with the command above.

A new act gets a line in `Act`, and at least one role in `MAY`.
"""
PLACES = {Of.STUDY: "a study", Of.CENTRE: "a centre", Of.SUBJECT: "a subject"}


def permissions_page() -> str:
    """The whole page, as Markdown."""
    return "\n".join([HEAD, *_acts(), *_apart(), *_pages(), *_operations()]) + "\n"


def _acts() -> Iterator[str]:
    yield "## Roles and acts\n"
    yield "Acts in *italics* change nothing. Roles of the unblinded side are on its own site.\n"
    for title, roles in {
        "Blinded side": [role for role in Role if role not in UNBLINDED_ROLES],
        "Unblinded side": [role for role in Role if role in UNBLINDED_ROLES],
    }.items():
        yield f"### {title}\n"
        acts = [act for act in Act if any(act in MAY[role] for role in roles)]
        yield from _table(
            ["act", *(role.label for role in roles)],
            ([_named(act), *("yes" if may(r, act) else "" for r in roles)] for act in acts),
        )


def _named(act: Act) -> str:
    return f"*{act}*" if act in READING | READING_UNBLINDED else str(act)


def _apart() -> Iterator[str]:
    yield "## Duties of two different people\n"
    yield "In one study, nobody holds roles that together give both of:\n"
    yield from (f"- {one}; {other}" for one, other in KEPT_APART)
    yield ""


def _pages() -> Iterator[str]:
    yield "## Pages\n"
    yield "Who does not even see what a page is about gets 404, who sees it and may not act 403.\n"
    for side, doors in DOORS.items():
        yield f"### {side.capitalize()} site\n"
        known = [each for each in addresses(side) if not each.methods]
        yield from _table(
            ["address", "about", "act", "roles"],
            (_row(each, doors[each.key], side) for each in known if each.key in doors),
        )


def _row(address: Address, door: Door, side: str) -> list[str]:
    shown = f"`/{address.route}`"
    if door.act is None:
        return [shown, str(door.of), "", ""]
    roles = [
        role.label
        for role in Role
        if (role in UNBLINDED_ROLES) == (side == "unblinded")
        and door.answer(role, in_study=held_in_study(role, side)) is Answer.IN
    ]
    about = PLACES[door.of] + (", for who made it only" if door.own else "")
    return [shown, about, str(door.act), ", ".join(roles)]


def _operations() -> Iterator[str]:
    yield "## Operations of the API\n"
    yield "An EDC client belongs to one study and holds scopes, no roles.\n"
    meanings: Any = settings.OAUTH2_PROVIDER["SCOPES"]
    yield from _table(
        ["operation", "scope", "meaning"],
        ([f"`{key}`", f"`{scope}`", meanings[scope]] for key, scope in OPERATIONS.items()),
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""
