"""A trial to attack, and what an insider with the blinded login would send."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from enrolment.models import Centre, Subject
from iwrs import clock
from iwrs.models import Study
from tests import factories as make

ALLOWED = 8  # abandoned calls that a gate forgives


@dataclass(frozen=True)
class Target:
    """Centres with cover, a subject in treatment, and subjects who wait for randomization."""

    study: Study
    centre: Centre
    other_centre: Centre
    treated: Subject
    waiting: list[Subject]


def a_target(*, cohorts: int = 2, waiting: int = 4, method: str = "permuted-blocks") -> Target:
    """Commit a small trial; call it with the fixture `committed_db`."""
    study = make.a_study(method=method)
    centre, other = make.a_centre(study, cover=cohorts), make.a_centre(study, cover=1)
    treated = make.a_randomized_subject(centre)
    return Target(study, centre, other, treated, [make.a_subject(centre) for _ in range(waiting)])


def refusal(call: Callable[..., Any], *arguments: Any, **options: Any) -> str | None:
    """The code with which a gate refuses a call, saying nothing else; None when it answers."""
    try:
        call(*arguments, **options)
    except psycopg.Error as refused:
        error = refused
    else:
        return None
    assert error.diag.message_primary == "refused"
    assert (error.diag.message_detail, error.diag.message_hint) == (None, None)
    return error.sqlstate


def allocate(caller: psycopg.Connection, subject: Subject, paper: str = "") -> None:
    caller.execute("SELECT gate.allocate(%s, %s)", [subject.pk, paper])


def plan(caller: psycopg.Connection, subject: Subject, number: int = 0) -> int:
    """Write a planned dispensation, as a caller with own SQL can; returns its key."""
    today = clock.today()
    row = caller.execute(
        "INSERT INTO public.dispensing_dispensation"
        " (subject_id, number, due_on, earliest_on, status)"
        " VALUES (%s, %s, %s, %s, 'planned') RETURNING id",
        [subject.pk, number, today, today - timedelta(days=1)],
    ).fetchone()
    return row[0]


def assign(caller: psycopg.Connection, dispensation: int, *, days_ahead: int = 0) -> int:
    """Ask the gate for a kit; returns its key."""
    day = clock.today() + timedelta(days=days_ahead)
    row = caller.execute(
        "SELECT gate.assign_kit(%s, %s, %s, %s)",
        [dispensation, day, day + timedelta(days=60), datetime.now(UTC)],
    ).fetchone()
    return row[0]


def take_kit(caller: psycopg.Connection, subject: Subject, paper: str = "") -> int:
    """Allocate a subject and take its first kit, in the caller's open transaction."""
    allocate(caller, subject, paper)
    return assign(caller, plan(caller, subject))


def on_paper(caller: psycopg.Connection, subject: Subject, place: str, cover: str) -> str:
    """Ask whether these codes are those of the next place; what is wrong with them."""
    row = caller.execute(
        "SELECT gate.next_on_paper(%s, %s, %s, %s)",
        [subject.pk, place, cover, clock.today() + timedelta(days=60)],
    ).fetchone()
    return row[0]


def request(caller: psycopg.Connection, subject: Subject) -> int:
    """Ask for a code break; returns the request's key."""
    row = caller.execute(
        "SELECT gate.code_break_request(%s, 'Eve', 'emergency', 'because')", [subject.pk]
    ).fetchone()
    return row[0]


def reveal(caller: psycopg.Connection, made: int) -> str:
    row = caller.execute("SELECT gate.code_break_reveal(%s, now())", [made]).fetchone()
    return row[0]


def positions(owner: psycopg.Connection, kits: list[int]) -> list[tuple[int, int]]:
    """Cohort and position of each kit, asked as the owner."""
    rows = {
        kit: (cohort, position)
        for kit, cohort, position in owner.execute(
            "SELECT kit_id, cohort_id, position FROM unblinded.cover_kit"
        )
    }
    return [rows[kit] for kit in kits]
