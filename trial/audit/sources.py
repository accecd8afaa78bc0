"""Where the lines of the audit trail come from: each history table, and how its rows find their
subject, centre and study.

Found from the models, so that a table added later is in the trail without being listed.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise

from django.apps import apps
from django.conf import settings
from django.db import models

from enrolment.models import Centre, Subject
from iwrs.accounts.models import User
from iwrs.accounts.router import TWICE
from iwrs.models import Study
from trial.audit.words import RECORDS, Record

_UNBLINDED = 'unblinded"."'


@dataclass(frozen=True)
class Source:
    """One table of the trail. `model` is what is told of; a record is its own model."""

    model: type[models.Model]
    events: type[models.Model]
    record: Record | None = None

    @property
    def key(self) -> str:
        """How an address names it: `enrolment.subject`."""
        return self.model._meta.label_lower

    @property
    def table(self) -> str:
        """The table as SQL writes it."""
        return f'"{self.events._meta.db_table}"'

    @property
    def id(self) -> str:
        return "pgh_id" if self.record is None else "id"

    @property
    def at(self) -> str:
        return "pgh_created_at" if self.record is None else self.record.at

    @property
    def label(self) -> str:
        """SQL: what happened to the row: insert, update or delete."""
        return "e.pgh_label" if self.record is None else "'record'"

    @property
    def context(self) -> str:
        """SQL: who, in which role, by which act and why."""
        return "e.pgh_context::jsonb" if self.record is None else self.record.context

    @property
    def request(self) -> str:
        """SQL: the id of the request, or of the task's act, that the row came with."""
        column = "pgh_context_id" if self.record is None else "of_request"
        return f"coalesce(e.{column}::text, '')"

    @cached_property
    def fields(self) -> list[models.Field]:
        """The fields that the history has: that of a table with secrets leaves them out."""
        kept = {each.column for each in self.events._meta.fields}
        return [each for each in self.model._meta.fields if each.column in kept]

    def to(self, target: type[models.Model]) -> str | None:
        """SQL for the key of the `target` that a row `e` belongs to, by the shortest way of foreign
        keys; None when no way leads there, or when the history leaves out where it begins."""
        way = _way(self.model, target)
        if way is None or (way and way[0] not in self.fields):
            return None
        return _followed(way, str(self.model._meta.pk.column))

    def subject(self) -> str | None:
        return self.to(Subject)

    def centre(self) -> str | None:
        return self.to(Centre)

    def person(self) -> str | None:
        return self.to(User)

    def study(self) -> str | None:
        """SQL for the key of the study of a row `e`; None when the row belongs to no study."""
        if any(each.name == "study_code" for each in self.fields):
            return "(SELECT s.id FROM iwrs_study s WHERE s.code = e.study_code)"
        return self.to(Study)


def sources() -> list[Source]:
    """Every table of the trail of this side, in the order of their keys."""
    found = [
        Source(tracked, events)
        for events in apps.get_models()
        if (tracked := getattr(events, "pgh_tracked_model", None)) is not None
        and _of_this_side(events)
    ]
    for label, record in RECORDS.items():
        model = apps.get_model(label)
        found.append(Source(model, model, record))
    return sorted(found, key=lambda each: each.key)


def _of_this_side(events: type[models.Model]) -> bool:
    if events._meta.app_label in TWICE:
        return True  # the search path chooses
    unblinded = events._meta.db_table.startswith(_UNBLINDED)
    return unblinded is (settings.SIDE == "unblinded")


@cache
def _way(start: type[models.Model], target: type[models.Model]) -> list[models.Field] | None:
    """The foreign keys to follow from a model to another; empty when it is the model itself."""
    waiting: deque[tuple[type[models.Model], list[models.Field]]] = deque([(start, [])])
    seen = {start}
    while waiting:
        model, way = waiting.popleft()
        if model is target:
            return way
        for field in _foreign_keys(model):
            after = field.related_model
            if isinstance(after, type) and after not in seen:
                seen.add(after)
                # People belong to many studies: no way leads through them.
                if after is not User or target is User:
                    waiting.append((after, [*way, field]))
    return None


def _foreign_keys(model: type[models.Model]) -> Iterable[models.Field]:
    return (each for each in model._meta.fields if each.remote_field is not None)


def _followed(way: list[models.Field], own_key: str) -> str:
    if not way:
        return f"e.{own_key}"
    sql = f"e.{way[0].column}"
    for before, field in pairwise(way):
        model = before.related_model
        assert isinstance(model, type)
        key, table = model._meta.pk.column, model._meta.db_table
        sql = f'(SELECT t.{field.column} FROM "{table}" t WHERE t.{key} = {sql})'  # noqa: S608
    return sql
