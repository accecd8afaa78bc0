"""One line of the trail as a sentence: who did what to what, from which value to which, and why."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parseaddr
from typing import Any

from django.apps import apps

from iwrs.accounts.models import Role, SignInEvent
from iwrs.models import Study
from trial.audit.labels import NOTHING, Labels
from trial.audit.trail import Event
from trial.audit.words import (
    CODE_BREAK_FIELDS,
    field_label,
    is_secret,
    is_silent,
    noun,
)

VERBS = {"insert": "recorded", "update": "changed", "delete": "removed"}


@dataclass(frozen=True)
class Change:
    """One value before and after, in words. `secret` values are told to nobody."""

    what: str
    old: str
    new: str
    secret: bool = False

    def __str__(self) -> str:
        if self.secret:
            return f"‘{self.what}’ (not shown)"
        return f"‘{self.what}’ from {self.old} to {self.new}"


@dataclass(frozen=True)
class Line:
    """An event in words. `who` is the person's name, `by` the whole label."""

    event: Event
    who: str
    by: str
    role: str
    act: str
    why: str
    what: str
    verb: str
    changes: list[Change]
    subject: str
    zone: str

    @property
    def listed(self) -> list[str]:
        """The values that the sentence does not tell already."""
        if self.verb == "changed" and len(self.changes) == 1:
            return []
        if self.verb == "recorded":
            return [f"{each.what}: {each.new}" for each in self.changes]
        return [str(each) for each in self.changes]

    def __str__(self) -> str:
        who = f"{self.who} ({self.role})" if self.role else self.who
        told = f"{who} {self._deed()}"
        return f"{told}; reason: {self.why}" if self.why else f"{told}."

    def _deed(self) -> str:
        if self.verb != "changed" or not self.changes:
            return f"{self.verb} {self.what}"
        if len(self.changes) == 1:
            [change] = self.changes
            if change.secret:
                return f"changed {change} of {self.what}"
            return f"changed ‘{change.what}’ of {self.what} from {change.old} to {change.new}"
        return f"changed {len(self.changes)} values of {self.what}"


def lines(events: list[Event], study: Study, *, code_breaks: bool = True) -> list[Line]:
    """The events in words. Fields on code breaks are left out for those who may not know."""
    labels = Labels(events, study)
    return [_line(each, labels, code_breaks) for each in events]


def _line(event: Event, labels: Labels, code_breaks: bool) -> Line:
    context = event.context
    by = str(context.get("by") or "Somebody outside the application")
    role = str(context.get("role") or "")
    what, verb = _what(event, labels), VERBS.get(event.label, "")
    if event.source.record is not None:
        what, verb = _recorded(event, labels)
    return Line(
        event=event,
        who=(parseaddr(by)[0] if "<" in by else "") or by,
        by=by,
        role=dict(Role.choices).get(role, role.replace("_", " ")),
        act=str(context.get("act") or ""),
        why=str(context.get("why") or ""),
        what=what,
        verb=verb,
        changes=list(_changes(event, labels, code_breaks)),
        subject=_subject(event, labels),
        zone=labels.zone(event),
    )


def _subject(event: Event, labels: Labels) -> str:
    if event.subject_id is None:
        return ""
    return labels.called(apps.get_model("enrolment.Subject"), event.subject_id)


def _what(event: Event, labels: Labels) -> str:
    """The object: `visit 3 of subject 0101-003`."""
    called = noun(event.source.model)
    fields = {each.name: each for each in event.source.fields}
    row = event.now
    names = [labels.value(event, fields[name], row) for name in called.told_by if name in fields]
    text = " ".join([called.text, *(f"‘{each}’" if " " in each else each for each in names)])
    subject = _subject(event, labels)
    if subject and event.source.key != "enrolment.subject":
        return f"{text} of subject {subject}"
    return text


def _recorded(event: Event, labels: Labels) -> tuple[str, str]:
    """(what, verb) of a row that is its own record."""
    row = event.now
    if event.source.key == "audit.access":
        verb = "took a copy of" if row.get("copied") else "looked at"
        about = row.get("about") or ""
        return f"{row.get('page')}{f', {about}' if about else ''}", verb
    if event.source.key == "audit.review":
        fields = {each.name: each for each in event.source.fields}
        since, until = (labels.value(event, fields[name], row) for name in ("since", "until"))
        return f"the audit trail from {since} to {until}", "reviewed"
    if event.source.key == "signatures.signedrecord":
        facts = json.loads(row["canonical"])["facts"]
        of = f" of subject {facts['subject']}" if "subject" in facts else ""
        return f"the record ‘{row['record_kind']}’{of}, SHA-256 {row['sha256']}", "signed"
    fields = {each.name: each for each in event.source.fields}
    parts = [labels.value(event, fields[name], row) for name in ("what", "method") if row.get(name)]
    where = [f"from {row['address']}"] if row.get("address") else []
    if row.get("client") and row["what"] == SignInEvent.What.SECRET_REPLACED:
        return f"the EDC client with the id {row['client']} ({', '.join(parts)})", "changed"
    if row.get("done_by") and not row.get("client"):
        of = labels.value(event, fields["user"], row)
        return f"the account of {of} ({', '.join(parts)})", "changed"
    return f"({', '.join([*parts, *where])})", "was at the door"


def _changes(event: Event, labels: Labels, code_breaks: bool) -> Iterator[Change]:
    """What a row has and the one before had not. A new row is compared with nothing."""
    if event.source.record is not None or event.label == "delete":
        return
    before = event.before if event.label == "update" else None
    for each in event.source.fields:
        if each.name in CODE_BREAK_FIELDS and not code_breaks:
            continue
        old, new = (before or {}).get(each.name), event.now.get(each.name)
        if old == new or (before is None and (is_silent(each) or new in (None, "", {}, []))):
            continue
        if is_secret(each):
            yield Change(field_label(each), "not shown", "not shown", secret=True)
        elif isinstance(new, dict) and isinstance(old, dict | None):
            yield from _answers(each.name, old or {}, new, labels)
        else:
            yield Change(
                field_label(each),
                labels.value(event, each, before) if before is not None else NOTHING,
                labels.value(event, each, event.now),
            )


def _answers(
    field: str, old: dict[str, Any], new: dict[str, Any], labels: Labels
) -> Iterator[Change]:
    """Each answer of a field that holds several, by its own question."""
    words = labels.words
    for key in [*new, *(key for key in old if key not in new)]:
        if old.get(key) != new.get(key):
            yield Change(
                words.question(field, key),
                words.answer(field, key, old.get(key)),
                words.answer(field, key, new.get(key)),
            )
