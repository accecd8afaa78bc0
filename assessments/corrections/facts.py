"""What can be corrected: one entry for each kind of recorded fact.

A fact is a row. Its fields are those of the row, `baseline.KEY` standing for one baseline answer.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from django import forms
from django.db import models
from django.db.models import Q

from assessments.corrections import rules
from assessments.forms import ecog_field, quality_field
from assessments.models import Contact, SubjectEvent, TumourRead, Visit
from dispensing.models import Dispensation, DoseReduction, DrugStop, FirstDose
from enrolment.forms import baseline_field
from enrolment.models import Subject
from iwrs.forms import choice_field, date_field, reason_field
from iwrs.permissions import Act
from iwrs.templatetags.portal import day

Fields = dict[str, forms.Field]


@dataclass(frozen=True)
class Fact:
    """One kind of fact: the rows of `model` that are `where`. `wrong` names, by field, what cannot
    be in a row that was changed and is not saved yet. With `in_error` a row can be taken back: it
    is kept and counted nowhere.
    """

    key: str
    act: Act
    model: type[models.Model]
    where: Q
    name: Callable[[Any], str]
    fields: Callable[[Any], Fields]
    wrong: Callable[[Subject, Any], dict[str, str]]
    in_error: bool = False
    # What else the row says, as (question, answer): it goes where the row goes.
    also: Callable[[Any], list[tuple[str, str]]] = lambda row: []

    def rows(self, subjects: Iterable[Subject]) -> models.QuerySet[Any]:
        """The rows of some subjects that can be corrected."""
        of = "pk__in" if self.model is Subject else "subject__in"
        return self.model._default_manager.filter(self.where, **{of: subjects})

    def values(self, row: Any) -> dict[str, Any]:
        """The row's fields as they are now."""
        return {name: _value(row, name) for name in self.fields(row)}

    def shown(self, row: Any, values: Mapping[str, Any]) -> list[tuple[str, str]]:
        """(question, answer) of some of the row's fields, in words."""
        fields = self.fields(row)
        return [(str(fields[n].label), _in_words(fields[n], values[n])) for n in values]

    def whole(self, row: Any) -> list[tuple[str, str]]:
        """(question, answer) of everything that the row says."""
        return self.shown(row, self.values(row)) + self.also(row)


def put(row: Any, values: Mapping[str, Any]) -> None:
    """Set fields of a row that is not saved yet."""
    for name, value in values.items():
        field, _, key = name.partition(".")
        if key:
            kept = {k: v for k, v in row.baseline.items() if k != key}
            row.baseline = kept if value in (None, "") else {**kept, key: value}
        else:
            setattr(row, field, value)


def _value(row: Any, name: str) -> Any:
    field, _, key = name.partition(".")
    return row.baseline.get(key) if key else getattr(row, field)


def _in_words(field: forms.Field, value: Any) -> str:
    if value in (None, ""):
        return "Not given"
    if isinstance(field, forms.DateField):
        return day(value if isinstance(value, date) else date.fromisoformat(value))
    choices = dict(getattr(field, "choices", []))
    return str(choices.get(value, choices.get(str(value), value)))


def _screening_fields(subject: Subject) -> Fields:
    return {
        "consent_on": date_field("Day on which the subject signed the consent"),
        **{
            f"baseline.{item.key}": baseline_field(item)
            for item in subject.study.definition.baseline
        },
    }


def _visit_fields(visit: Visit) -> Fields:
    if visit.status == Visit.Status.MISSED:
        return {}
    return {
        "done_on": date_field("Day of the visit"),
        "ecog": ecog_field(),
        "quality_of_life": quality_field(),
    }


def _read_of_visit(visit: Visit) -> list[tuple[str, str]]:
    return [
        ("Overall response, by the local investigator", str(read.get_response_display()))
        for read in visit.reads.all()
        if read.reader == TumourRead.Reader.LOCAL
    ]


def _read_fields(read: TumourRead) -> Fields:
    response = choice_field("Overall response", TumourRead.Response.choices)
    if read.reader == TumourRead.Reader.LOCAL and read.visit_id:
        return {"response": response}  # its day is the visit's
    return {
        "assessed_on": date_field("Day of the scan"),
        "response": response,
        "read_on": date_field("Day of the decision"),
    }


def _event_fields(event: SubjectEvent) -> Fields:
    return {"occurred_on": date_field("Day"), "detail": reason_field("Details", required=False)}


def _stop_fields(stop: DrugStop) -> Fields:
    drugs = {each.key: each for each in stop.subject.study.definition.drugs}
    reasons = [(each.key, each.label) for each in drugs[stop.drug].stop_reasons]
    return {
        "stopped_on": date_field("Day of the stop"),
        "reason": choice_field("Reason of the stop", reasons),
    }


def _supply(dispensation: Dispensation) -> str:
    return f"visit {dispensation.number}" if dispensation.number else "randomization"


def _level_label(reduction: DoseReduction) -> str:
    levels = {each.key: each.label for each in reduction.subject.study.definition.dose_levels}
    return f"Dose reduced to {levels.get(reduction.level, reduction.level)}"


def _drug_label(stop: DrugStop) -> str:
    drugs = {each.key: each.label for each in stop.subject.study.definition.drugs}
    return f"Stop of {drugs[stop.drug]}"


FACTS = {
    fact.key: fact
    for fact in (
        Fact(
            "screening",
            Act.CORRECT,
            Subject,
            Q(),
            lambda subject: "Consent and baseline",
            _screening_fields,
            rules.screening,
        ),
        Fact(
            "hand-over",
            Act.CORRECT,
            Dispensation,
            Q(handed_over_on__isnull=False),
            lambda each: f"Hand-over of the kit of {_supply(each)}",
            lambda each: {"handed_over_on": date_field("Day of the hand-over")},
            rules.hand_over,
            in_error=True,
        ),
        Fact(
            "first-dose",
            Act.CORRECT,
            FirstDose,
            Q(),
            lambda each: "First dose of the blinded drug",
            lambda each: {"taken_on": date_field("Day of the first dose")},
            rules.first_dose,
            in_error=True,
        ),
        Fact(
            "visit",
            Act.CORRECT,
            Visit,
            Q(status__in=[Visit.Status.DONE, Visit.Status.MISSED]),
            lambda each: f"Visit {each.number}, {each.get_status_display().lower()}",
            _visit_fields,
            rules.visit,
            in_error=True,
            also=_read_of_visit,
        ),
        Fact(
            "local-read",
            Act.CORRECT,
            TumourRead,
            Q(reader=TumourRead.Reader.LOCAL),
            lambda each: f"Local read of the scan of {day(each.assessed_on)}",
            _read_fields,
            rules.read,
            in_error=True,
        ),
        Fact(
            "central-read",
            Act.RECORD_CENTRAL_READ,
            TumourRead,
            Q(reader=TumourRead.Reader.CENTRAL),
            lambda each: f"Central read of the scan of {day(each.assessed_on)}",
            _read_fields,
            rules.read,
            in_error=True,
        ),
        Fact(
            "stop",
            Act.CORRECT,
            DrugStop,
            Q(),
            _drug_label,
            _stop_fields,
            rules.stop,
            in_error=True,
        ),
        Fact(
            "reduction",
            Act.CORRECT,
            DoseReduction,
            Q(),
            _level_label,
            lambda each: {
                "reduced_on": date_field("First day at the new dose"),
                "reason": reason_field("Reason"),
            },
            rules.reduction,
            in_error=True,
        ),
        Fact(
            "event",
            Act.CORRECT,
            SubjectEvent,
            Q(),
            lambda each: str(each.get_kind_display()),
            _event_fields,
            rules.event,
            in_error=True,
        ),
        Fact(
            "contact",
            Act.CORRECT,
            Contact,
            Q(),
            lambda each: f"Known to be alive on {day(each.contact_on)}",
            lambda each: {"contact_on": date_field("Day of the contact")},
            rules.contact,
            in_error=True,
        ),
    )
}


def facts_of(subject: Subject) -> Iterator[tuple[Fact, Any]]:
    """Everything recorded of a subject that can be corrected, kind by kind."""
    for fact in FACTS.values():
        if fact.key == "screening":
            yield fact, subject
            continue
        rows = fact.rows([subject])
        for row in rows.prefetch_related("reads") if fact.model is Visit else rows:
            row.subject = subject
            yield fact, row
