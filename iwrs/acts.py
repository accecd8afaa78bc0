"""One act, one transaction: the frame around every service that changes something."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.db import connection, transaction

from iwrs import gate
from iwrs.actors import Actor

LOCK_TIMEOUT = "3s"  # an act that cannot get its lock gives up and can be repeated

_OPEN_ACT = """
    SELECT set_config('pghistory.context_id', %s, true),
           set_config('pghistory.context_metadata', %s, true),
           set_config('lock_timeout', %s, true)
"""
_frame: ContextVar[list[str] | None] = ContextVar("iwrs_act_frame", default=None)
_request: ContextVar[str | None] = ContextVar("iwrs_request", default=None)


@contextmanager
def one_request() -> Iterator[None]:
    """Give all acts in here one random id in the audit trail: they came in one request.

    An act of a task or a command has an id of its own.
    """
    token = _request.set(str(uuid.uuid4()))
    try:
        yield
    finally:
        _request.reset(token)


def present_request() -> str | None:
    """The id of the request that is being answered, for a record of its own; None in a task."""
    return _request.get()


@contextmanager
def act(name: str, *, by: Actor, why: str = "") -> Iterator[None]:
    """Open one durable transaction whose audit rows carry the act, who does it and why.

    Everything of the act lands together or not at all. Nesting one act in another is an
    error (`RuntimeError` by Django), since then neither would be durable on its own.
    A refusal raised by a gate function leaves as a `Problem` with a fixed text.
    """
    acts_in_frame = _frame.get()
    if acts_in_frame is not None:
        if acts_in_frame:
            raise RuntimeError(f"{name!r} follows {acts_in_frame[0]!r}: one frame holds one act")
        acts_in_frame.append(name)
        with gate.refusals():
            _open(name, by, why)
            yield
        return
    with gate.refusals(), transaction.atomic(durable=True):
        _open(name, by, why)
        yield


@contextmanager
def frame() -> Iterator[None]:
    """Open the durable transaction here, for one act and the record of its answer.

    The API stores the answer to an `Idempotency-Key` in the transaction of the act itself: an
    answer without its act, or an act without its answer, cannot be.
    """
    token = _frame.set([])
    try:
        with gate.refusals(), transaction.atomic(durable=True):
            yield
    finally:
        _frame.reset(token)


def _open(name: str, by: Actor, why: str) -> None:
    context = {"act": name, "by": by.label, "kind": by.kind, "key": by.key, "why": why}
    if by.role:
        context["role"] = by.role
    request = _request.get() or str(uuid.uuid4())
    with connection.cursor() as cursor:
        cursor.execute(_OPEN_ACT, [request, json.dumps(context), LOCK_TIMEOUT])
