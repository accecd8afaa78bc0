"""The delegation log of a centre: who might do what from when to when, and who said so.

It is read from the history, so a role that ended and was given again shows both times.
"""

import csv
import io
from dataclasses import astuple, dataclass
from datetime import date
from typing import Any

from enrolment.models import Centre, CentreRole
from iwrs.accounts.models import Role, User
from iwrs.permissions import MAY, Act
from iwrs.spreadsheet import harmless

HEAD = ("person", "role", "acts", "first day", "last day", "given by", "last changed by")
_History: Any = CentreRole.pgh_event_model  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Delegation:
    """One time in which one person had one role. `last` is None while no end is known."""

    person: str
    role: str
    acts: str
    first: date
    last: date | None
    given_by: str
    changed_by: str


def delegation_log(centre: Centre) -> list[Delegation]:
    """Every time a role was held at the centre, the earliest first."""
    told: dict[tuple[int, date], list[Any]] = {}
    for event in _History.objects.filter(centre=centre).order_by("pgh_id"):
        told.setdefault((event.pgh_obj_id, event.since), []).append(event)
    names = dict(User.objects.filter(centre_roles__centre=centre).values_list("pk", "name"))
    found = [_delegation(events, names) for events in told.values()]
    return sorted(found, key=lambda each: (each.first, each.person, each.role))


def _delegation(events: list[Any], names: dict[int, str]) -> Delegation:
    first, last = events[0], events[-1]
    acts = MAY.get(last.role, frozenset())
    return Delegation(
        person=names.get(last.user_id, ""),
        role=Role(last.role).label,
        acts="; ".join(str(each) for each in Act if each in acts),
        first=last.since,
        last=last.until,
        given_by=_by(first),
        changed_by=_by(last) if last is not first else "",
    )


def _by(event: Any) -> str:
    context = event.pgh_context or {}
    return str(context.get("by", ""))


def as_csv(rows: list[Delegation]) -> str:
    """The log for a spreadsheet; no cell of it can run there."""
    made = io.StringIO()
    writer = csv.writer(made)
    writer.writerow(HEAD)
    writer.writerows([harmless(cell) for cell in astuple(each)] for each in rows)
    return made.getvalue()
