"""The audit trail: every change of an audited row is copied by a trigger of the database.

The application cannot forget it, and (see `iwrs.hardening`) cannot switch it off or edit it.
Who, role, why and the id of the request travel in the transaction (see `iwrs.acts`), not in each
statement.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import pghistory
from django.db import models

# Tables without a history that are sealed with it: each row is written once and never changed, and
# is its own record. Their key is one whole number.
RECORDS: tuple[str, ...] = (
    *("accounts_signinevent", "audit_access", "audit_review"),
    "signatures_signedrecord",
    # Of the unblinded side: where a list came from, how minimization decided, which kit stands for
    # which place, codes on paper, imports and simulations.
    *("list_origin", "imported_file", "decision", "margin", "cover_kit", "kit_import"),
    *("paper_place", "paper_cover", "simulation_run"),
    # Of the blinded side, once a study is unblinded.
    *("randomization_openedstudy", "randomization_openedallocation"),
)

ModelT = TypeVar("ModelT", bound=type[models.Model])


def audited(model: ModelT) -> ModelT:
    """Keep a history row for each insert, update and delete of `model` (21 CFR 11.10(e)).

    The history of a table in schema `unblinded` stays in that schema.
    """
    return _tracked(model, None)


def audited_fields(*fields: str) -> Callable[[ModelT], ModelT]:
    """Like `audited` for a model that also holds secrets: its history has these fields only."""

    def decorate(model: ModelT) -> ModelT:
        return _tracked(model, list(fields))

    return decorate


def _tracked(model: ModelT, fields: list[str] | None) -> ModelT:
    table = model._meta.db_table
    meta: dict[str, Any] = {}
    if table.startswith('unblinded"."'):
        meta["db_table"] = f"{table}_event"
    track: Callable[[ModelT], ModelT] = pghistory.track(
        pghistory.InsertEvent(),
        pghistory.UpdateEvent(),
        pghistory.DeleteEvent(),
        fields=fields,
        model_name=f"{model.__name__}Event",
        obj_field=pghistory.ObjForeignKey(
            related_name="+", related_query_name="+", db_constraint=False, db_index=True
        ),
        context_field=pghistory.ContextJSONField(),
        context_id_field=pghistory.ContextUUIDField(),
        meta=meta,
    )
    return track(model)
