"""A place under every limit of the study, kept for the subject until the act ends.

Acts of one study share an advisory lock while all limits are far away, and so do not wait for each
other. Near a limit an act takes the lock alone: it waits until those before it have ended, and
counts them. Far means that even one more subject for every connection that the server allows would
not reach the limit. So no number of acts at the same moment overshoots, and a limit below that
number lets the study randomize one subject after the other.

A limit within one centre needs no such lock: randomizations of a centre already wait for each
other (`iwrs/locks.py`).
"""

from typing import Any

from django.db import connection

from enrolment.caps import STUDY, Limit, limits_of
from enrolment.models import Subject
from iwrs.problems import Problem

_ACCRUAL = 2  # first key of the advisory lock on a study's accrual
_TALLY = "enrolment_tally t JOIN enrolment_centre c ON c.id = t.centre_id WHERE c.study_id = %s"
_MOST_AT_ONCE = "current_setting('max_connections')::int"


def require_place(subject: Subject) -> None:
    """Raise `Problem` when a limit that counts this subject is reached, and keep the place.

    Within an open act that holds the subject's centre. Two statements far from every limit, three
    near one.
    """
    limits = limits_of(subject)
    shared = hold(subject.study_id, [each for each in limits if not each.at_centre])
    # Counted again with the lock: what was counted before it is stale.
    full = _reached(subject.study_id, limits, shared=shared)
    if full == STUDY:
        raise Problem(
            code="accrual_full",
            title="The study has all its subjects.",
            action="No more subjects can be randomized.",
        )
    if full is not None:
        raise no_place_left()


def hold_place(subject: Subject) -> None:
    """Let others count this subject, who is let in whatever limit is reached."""
    hold(subject.study_id, [each for each in limits_of(subject) if not each.at_centre])


def no_place_left() -> Problem:
    """The one refusal for every other limit: it does not say which, nor how full others are."""
    return Problem(
        code="cap_reached",
        title="The study has no place left for this subject.",
        action="Nothing was changed. The study manager knows for whom the study is open.",
    )


def hold(study: int, limits: list[Limit]) -> bool:
    """Lock the study's accrual, shared when every limit is far. True when it is shared."""
    far = " AND ".join(f"n{i} < %s - {_MOST_AT_ONCE}" for i in range(len(limits)))
    query = (
        f"SELECT CASE WHEN {far} THEN pg_try_advisory_xact_lock_shared(%s, %s) ELSE false END"  # noqa: S608
        f" FROM ({_sums(limits)}) counted"
    )
    with connection.cursor() as cursor:
        most = [each.most for each in limits]
        cursor.execute(query, [*most, _ACCRUAL, study, *_values(limits), study])
        if cursor.fetchone()[0]:
            return True
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_ACCRUAL, study])
    return False


def _reached(study: int, limits: list[Limit], *, shared: bool) -> str | None:
    """The key of the first limit that is reached; `Problem` when another act must go first."""
    with connection.cursor() as cursor:
        cursor.execute(_sums(limits), [*_values(limits), study])
        *counted, at_once = cursor.fetchone()
    for limit, n in zip(limits, counted, strict=True):
        if n >= limit.most:
            return limit.key
        if shared and not limit.at_centre and n >= limit.most - at_once:
            # The limit came near between the first count and the lock.
            raise Problem(
                code="busy",
                title="Somebody else is changing the same record.",
                action="Nothing was changed. Please try again in a few seconds.",
                status=503,
            )
    return None


def _sums(limits: list[Limit]) -> str:
    sums = (
        f"coalesce(sum(t.randomized) FILTER (WHERE {each.condition}), 0) AS n{i}"
        for i, each in enumerate(limits)
    )
    return f"SELECT {', '.join(sums)}, {_MOST_AT_ONCE} AS at_once FROM {_TALLY}"  # noqa: S608


def _values(limits: list[Limit]) -> list[Any]:
    return [value for each in limits for value in each.values]
