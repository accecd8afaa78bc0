"""Every row lock an act takes, in the one order in which acts take them.

    study, centre, subject, dispensation, visit;
    then, for a randomization, the study's accrual: an advisory lock, shared while every limit is
        far (`trial/caps.py`);
    then, inside the gate: stratum cursor, centre calls, cohort;
    then the tally of the subject's factor levels at the centre, by a trigger

Lock, then read, then decide: what was read before the lock is stale. All acts that lock two of
these take them in this order, so that no two acts wait for each other.
"""

from collections.abc import Sequence
from typing import TypeVar

from django.db import models, transaction

ModelT = TypeVar("ModelT", bound=models.Model)


def lock(
    rows: "models.Manager[ModelT] | models.QuerySet[ModelT]",
    pk: object,
    *,
    first: Sequence[str] = (),
) -> ModelT:
    """Lock one row for the rest of the act and return it as it is now.

    `first` names rows it refers to (of `select_related`) that are locked before it, in the same
    statement: PostgreSQL locks the rows of one result in the order in which they are named.
    Raises the model's DoesNotExist. Refuses to lock outside a transaction, where the lock would
    be gone before it served.
    """
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("lock() needs an open act: a lock outside a transaction guards nothing")
    return rows.select_for_update(of=(*first, "self"), no_key=True).get(pk=pk)
