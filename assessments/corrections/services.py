"""The verb: correct a recorded fact, or take it back, with a reason and a signature."""

import json
from collections.abc import Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from assessments.corrections.facts import Fact, put
from assessments.corrections.rules import kept
from assessments.models import Correction, TumourRead, Visit
from assessments.services import settle
from dispensing.models import Dispensation
from dispensing.services import require_randomized
from enrolment.models import Subject
from iwrs import clock
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.locks import lock
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Record, Signature
from iwrs.signatures.services import keep, require_shown

ACT = "correct a fact"


def correct(
    subject: Subject,
    fact: Fact,
    pk: int,
    values: Mapping[str, Any],
    *,
    by: Actor,
    why: str,
    in_error: bool = False,
    signature: Signature | None = None,
) -> Correction:
    """Give fields of one recorded fact other values, or (`in_error`) take the fact back.

    What stood there stays: in the correction, in the audit trail and on the subject's page. Visits,
    kits and the end of participation follow the facts that stand. Raises `Invalid` with one text
    a field, `Problem` when the fact is gone or not as it was shown. People sign it.
    """
    with act(ACT, by=by, why=why):
        subject = lock(Subject.objects.select_related("centre", "study"), subject.pk)
        require_randomized(subject)
        row = _locked(fact, subject, pk)
        if signature:
            require_shown(signature, fact_record(fact, subject, row))
        if not why.strip():
            raise Invalid({"why": "Say what was wrong."})
        name, was = fact.name(row), fact.values(row)
        now = {} if in_error else _changed(was, values)
        was = was if in_error else {field: was[field] for field in now}
        told = fact.whole(row) if in_error else fact.shown(row, was)
        if in_error:
            _take_back(fact, row)
        else:
            _change(fact, subject, row, now)
        settle(subject)
        made = Correction.objects.create(
            subject=subject,
            fact=fact.key,
            record=row.pk,
            name=name,
            was=_plain(was),
            now=_plain(now),
            told=[list(each) for each in told],
            in_error=in_error,
            reason=why.strip(),
            corrected_by=by.label,
            corrected_at=clock.now(),
        )
        if signature:
            zone = subject.centre.time_zone
            keep(signature, correction_record(made), study=subject.study, time_zone=zone)
        return made


def fact_record(fact: Fact, subject: Subject, row: Any) -> Record:
    """A fact as it stands when somebody is about to correct it."""
    return Record(
        f"fact {fact.key}",
        row.pk,
        {"subject": subject.number, "name": fact.name(row), "values": fact.whole(row)},
    )


def correction_record(made: Correction) -> Record:
    """A correction: what stood there, what stands there now, and why."""
    return Record(
        "correction",
        made.pk,
        {
            "subject": made.subject.number,
            "name": made.name,
            "was": made.was,
            "now": made.now,
            "told": made.told,
            "recorded in error": made.in_error,
            "reason": made.reason,
        },
    )


def _locked(fact: Fact, subject: Subject, pk: int) -> Any:
    if fact.key == "screening":
        return subject
    found = fact.rows([subject])
    if not found.filter(pk=pk).exists():
        raise Problem(
            code="fact_gone",
            title="This fact does not stand any more.",
            action="Somebody corrected it meanwhile. Read the recorded facts again.",
        )
    row = lock(found, pk)
    row.subject = subject
    return row


def _changed(was: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    now = {
        field: value
        for field, value in values.items()
        if field in was and _or_nothing(value) != _or_nothing(was[field])
    }
    if not now:
        raise Invalid({}, title="Nothing was changed.", action="Change what was wrong, then sign.")
    return now


def _change(fact: Fact, subject: Subject, row: Any, now: Mapping[str, Any]) -> None:
    put(row, now)
    problems = fact.wrong(subject, row)
    if problems:
        raise Invalid(problems)
    row.save(update_fields=sorted({field.partition(".")[0] for field in now}))
    if isinstance(row, Visit) and "done_on" in now:
        _move_read(row)


def _move_read(visit: Visit) -> None:
    """The investigator's read of a visit is of the visit's day, decided then or later as before."""
    assert visit.done_on is not None
    for read in visit.reads.filter(reader=TumourRead.Reader.LOCAL):
        at_once = read.read_on == read.assessed_on
        read.read_on = visit.done_on if at_once else max(read.read_on, visit.done_on)
        read.assessed_on = visit.done_on
        read.save(update_fields=["assessed_on", "read_on"])


def _take_back(fact: Fact, row: Any) -> None:
    if not fact.in_error:
        raise Invalid({"in_error": "This fact can be corrected, not taken back."})
    if why_not := kept(row):
        raise Invalid({"in_error": why_not})
    if isinstance(row, Visit):
        row.reads.filter(reader=TumourRead.Reader.LOCAL).update(in_error=True)
        row.status, row.done_on = Visit.Status.PLANNED, None
        row.ecog, row.quality_of_life = None, None
        row.save(update_fields=["status", "done_on", "ecog", "quality_of_life"])
    elif isinstance(row, Dispensation):
        # The kit stays the subject's, assigned by the gate, and can be handed over.
        row.status, row.handed_over_on = Dispensation.Status.ASSIGNED, None
        row.save(update_fields=["status", "handed_over_on"])
    else:
        row.in_error = True
        row.save(update_fields=["in_error"])


def _plain(values: Mapping[str, Any]) -> Any:
    """As JSON keeps them; a number with a fraction and a day are texts, an empty answer is null."""
    told = {field: _or_nothing(value) for field, value in values.items()}
    return json.loads(json.dumps(told, cls=DjangoJSONEncoder))


def _or_nothing(value: Any) -> Any:
    return None if value == "" else value
