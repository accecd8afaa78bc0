"""Values as people read them: choices, days, names of other rows, words of the study."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from django.apps import apps
from django.db import models

from iwrs.definition import StudyDefinition
from iwrs.models import Study, StudyVersion
from iwrs.templatetags.portal import day, moment
from trial.audit.trail import Event
from trial.audit.words import CALLED, is_secret

NOTHING = "nothing"
LONGEST = 200  # characters of a value on the page


class Labels:
    """The words for the values of some events, fetched with one query for each kind of row to which
    they refer.
    """

    def __init__(self, events: Iterable[Event], study: Study) -> None:
        self._called: dict[type[models.Model], dict[Any, str]] = {}
        self._zones: dict[int, str] = {}
        wanted: dict[type[models.Model], set[Any]] = defaultdict(set)
        for each in events:
            for field in each.source.fields:
                if isinstance(field.related_model, type):
                    for row in (each.now, each.before or {}):
                        wanted[field.related_model].add(row.get(field.name))
        self._fetch(wanted, [*events])
        self.words = StudyWords(_definition(study))

    def _fetch(self, wanted: dict[type[models.Model], set[Any]], events: list[Event]) -> None:
        subject = apps.get_model("enrolment.Subject")
        centre = apps.get_model("enrolment.Centre")
        wanted[subject] |= {each.subject_id for each in events}
        wanted[centre] |= {each.centre_id for each in events}
        for model, keys in wanted.items():
            keys.discard(None)
            names = CALLED.get(model._meta.label_lower)
            if names is None or not keys:
                continue
            fields = [*names, "time_zone"] if model is centre else [*names]
            for pk, *values in model._default_manager.filter(pk__in=keys).values_list(
                "pk", *fields
            ):
                if model is centre:
                    self._zones[pk] = values.pop()
                text = " ".join(str(_plain(each)) for each in values)
                self._called.setdefault(model, {})[pk] = text

    def zone(self, event: Event) -> str:
        """The time zone of the event's centre; UTC when it belongs to none."""
        return self._zones.get(event.centre_id or 0, "UTC")

    def called(self, model: type[models.Model], key: Any) -> str:
        """What a row is called; its key when it has no name."""
        known = self._called.get(model, {})
        return known.get(key) or known.get(_number(key)) or f"no. {key}"

    def value(self, event: Event, field: models.Field, row: dict[str, Any] | None) -> str:
        """The value of a field in a row of the event."""
        value = (row or {}).get(field.name)
        if value is None or value == "":
            return NOTHING
        if is_secret(field):
            return "not shown"
        if isinstance(field.related_model, type):
            return self.called(field.related_model, value)
        told = self.words.told(event.source.key, field.name, value, row or {})
        if told is not None:
            return told
        if field.choices:
            return str(dict(field.flatchoices).get(value, value))
        return shortened(str(_plain(_typed(field, value), self.zone(event))))


class StudyWords:
    """The study definition's own words for keys and coded answers."""

    def __init__(self, definition: StudyDefinition | None) -> None:
        self._questions: dict[str, str] = {}
        self._answers: dict[tuple[str, str], dict[str, str]] = {}
        self._labels: dict[tuple[str, str], dict[str, str]] = {}
        if definition is None:
            return
        criteria = {each.key: each.question for each in definition.eligibility}
        self._questions = criteria
        for factor in definition.factors:
            self._add("strata", factor.key, factor.question, factor.levels)
        for item in definition.baseline:
            self._add("baseline", item.key, item.question, item.choices)
        self._drugs = {each.key: each.label for each in definition.drugs}
        self._reasons = {
            (drug.key, each.key): each.label
            for drug in definition.drugs
            for each in drug.stop_reasons
        }
        self._recipients = {each.key: each.label for each in definition.recipients}

    def _add(self, field: str, key: str, question: str, answers: Iterable[Any]) -> None:
        self._labels.setdefault((field, key), {})["question"] = question
        self._answers[field, key] = {each.key: each.label for each in answers}

    def question(self, field: str, key: str) -> str:
        """The question behind a key of a field that holds several answers."""
        return self._labels.get((field, key), {}).get("question", key.replace("_", " "))

    def answer(self, field: str, key: str, value: Any) -> str:
        if value is None or value == "":
            return NOTHING
        return self._answers.get((field, key), {}).get(str(value), str(value))

    def told(self, source: str, field: str, value: Any, row: dict[str, Any]) -> str | None:
        """The word for a coded value of a field; None when the definition has none."""
        if not self._labels and not self._questions:
            return None
        if field == "question":
            return self._questions.get(value)
        if field == "drug":
            return self._drugs.get(value)
        if source == "dispensing.drugstop" and field == "reason":
            return self._reasons.get((row.get("drug", ""), value))
        if field == "recipient":
            return self._recipients.get(value)
        return None


def shortened(text: str) -> str:
    """A long text, cut at a word's length that a page can bear, with its full length."""
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}… ({len(text)} characters)"


def _definition(study: Study) -> StudyDefinition | None:
    try:
        return study.definition
    except StudyVersion.DoesNotExist:
        return None


def _number(key: Any) -> Any:
    return int(key) if isinstance(key, str) and key.isdecimal() else key


def _typed(field: models.Field, value: Any) -> Any:
    """A JSON value as the field's own type, so that days and moments read as such."""
    if isinstance(field, models.DateField | models.DateTimeField) and isinstance(value, str):
        return field.to_python(value)
    return value


def _plain(value: Any, zone: str = "UTC") -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return moment(value, zone)
    if isinstance(value, date):
        return day(value)
    return value
