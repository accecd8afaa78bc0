"""Watching the gate: calls that never became an act, and releasing them."""

from dataclasses import dataclass

from django.db import connection

from dispensing.unblinded.models import CentreCalls
from enrolment.models import Centre
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.models import Study
from iwrs.problems import Problem
from iwrs.signatures import Signature
from randomization.unblinded.models import CallRelease, StratumCursor
from randomization.unblinded.services import abandoned, keep_release

CALLS_ALLOWED = 8  # as in the gates: with as many abandoned calls the next one is refused


@dataclass(frozen=True)
class GateAlarm:
    """Calls of a gate that never became an act, of one stratum or centre.

    `paused` says that the gate refuses until somebody looked and released them.
    """

    kind: str
    pk: int
    name: str
    abandoned: int
    paused: bool


def watch_calls(study: Study | None = None) -> list[GateAlarm]:
    """Strata and centres (of one study, or all) with abandoned calls not released, worst first.

    An act in progress counts until it commits, so a small number that goes away is no alarm.
    """
    attempts = _attempts()
    strata = StratumCursor.objects.filter(list__status="active")
    centres = CentreCalls.objects.select_related("centre")
    if study is not None:
        strata = strata.filter(list__study=study)
        centres = centres.filter(centre__study=study)
    found = [
        ("stratum", each.pk, each.stratum_key, each.subjects, each.released_calls)
        for each in strata
    ]
    found += [
        ("centre", each.pk, str(each.centre), each.completed, each.released_calls)
        for each in centres
    ]
    alarms = []
    for kind, pk, name, completed, released in found:
        count = attempts.get((kind, pk), 0) - completed - released
        if count > 0:
            alarms.append(GateAlarm(kind, pk, name, count, paused=count >= CALLS_ALLOWED))
    return sorted(alarms, key=lambda alarm: (-alarm.abandoned, alarm.kind, alarm.name))


def release_centre_calls(
    centre: Centre, *, by: Actor, why: str, signature: Signature | None = None
) -> CentreCalls:
    """Let kits be assigned again after an alarm, once the abandoned calls were looked at."""
    with act("release kit calls", by=by, why=why):
        calls = CentreCalls.objects.select_for_update().filter(centre=centre).first()
        if calls is None:
            raise Problem(
                code="centre_never_stocked", title=f"Centre {centre.number} never got kits."
            )
        count = centre_calls(centre, calls)
        calls.released_calls = count
        calls.save(update_fields=["released_calls"])
        release = CallRelease(study=centre.study, kind="centre", key=centre.pk, name=str(centre))
        keep_release(release, count, by=by, why=why, signature=signature)
        return calls


def centre_calls(centre: Centre, calls: CentreCalls | None) -> int:
    """Calls for a kit at a centre, so far, that never became an act."""
    return max(abandoned("centre", centre.pk, calls.completed), 0) if calls else 0


def _attempts() -> dict[tuple[str, int], int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, pg_sequence_last_value(oid) FROM pg_class"
            " WHERE relnamespace = 'unblinded'::regnamespace AND relkind = 'S'"
            r" AND relname LIKE 'calls\_%%'",
            [],
        )
        counted = {}
        for name, value in cursor.fetchall():
            _, kind, pk = name.split("_")
            counted[kind, int(pk)] = value or 0
        return counted
