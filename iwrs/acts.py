"""One act, one transaction: the frame around every service that changes something."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

from iwrs import gate
from iwrs.actors import Actor

LOCK_TIMEOUT = "3s"  # an act that cannot get its lock gives up and can be repeated

_OPEN_ACT = """
    SELECT set_config('pghistory.context_id', %s, true),
           set_config('pghistory.context_metadata', %s, true),
           set_config('lock_timeout', %s, true)
"""


@contextmanager
def act(name: str, *, by: Actor, why: str = "") -> Iterator[None]:
    """Open one durable transaction whose audit rows carry the act, who does it and why.

    Everything of the act lands together or not at all. Nesting one act in another is an
    error (`RuntimeError` by Django), since then neither would be durable on its own.
    A refusal raised by a gate function leaves as a `Problem` with a fixed text.
    """
    context = {"act": name, "by": by.label, "kind": by.kind, "key": by.key, "why": why}
    if by.role:
        context["role"] = by.role
    with gate.refusals(), transaction.atomic(durable=True):
        with connection.cursor() as cursor:
            cursor.execute(_OPEN_ACT, [str(uuid.uuid4()), json.dumps(context), LOCK_TIMEOUT])
        yield
