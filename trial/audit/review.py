"""Reviewing the audit trail by risk, a period at a time (ICH E6(R3) 4.2.3)."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.conf import settings
from django.db import IntegrityError

from iwrs.actors import Actor
from iwrs.acts import act, present_request
from iwrs.audit_trail.models import Batch, Review
from iwrs.models import Study
from iwrs.problems import Invalid, Problem
from trial.audit.forms import begin_of
from trial.audit.sentences import Line, lines
from trial.audit.trail import Filter, page_of
from trial.audit.words import RISKS, RISKS_UNBLINDED, Risk

SHOWN = 25  # lines of each class of risk


@dataclass(frozen=True)
class Found:
    """The newest lines of one class of risk that nobody has reviewed."""

    risk: Risk
    lines: list[Line]
    more: bool


def last_review(study: Study) -> Review | None:
    """The review that goes furthest, or None."""
    return Review.objects.filter(study_code=study.code).order_by("-until").first()


def reviewed_to(study: Study) -> datetime:
    """The moment to which the trail of a study is reviewed; when it began, if it never was."""
    last = last_review(study)
    return last.until if last is not None else study.created_at


def by_risk(study: Study) -> list[Found]:
    """What is not reviewed, the highest risk first."""
    since = reviewed_to(study)
    found = []
    for risk in RISKS_UNBLINDED if settings.SIDE == "unblinded" else RISKS:
        wanted = Filter(study, since=since, acts=risk.acts, tables=risk.tables, labels=risk.labels)
        events = page_of(wanted, size=SHOWN + 1)
        found.append(Found(risk, lines(events[:SHOWN], study), len(events) > SHOWN))
    return found


def mark_reviewed(study: Study, until: date, notes: str, *, by: Actor) -> Review:
    """Record that the trail was reviewed to the end of a day in UTC. Periods follow each other
    without a gap. Raises `Invalid` for a day that is reviewed already or has not ended.
    """
    if not notes.strip():
        raise Invalid({"notes": "Write what you looked at and what you found."})
    end = begin_of(until) + timedelta(days=1)
    if end > datetime.now(UTC):
        raise Invalid({"until": "This day has not ended in UTC. Give an earlier day."})
    try:
        with act("review the audit trail", by=by, why=notes):
            since = reviewed_to(study)
            if end <= since:
                raise Invalid({"until": "This day is reviewed already. Give a later day."})
            sealed = Batch.objects.order_by("-number").first()
            return Review.objects.create(
                study_code=study.code,
                since=since,
                until=end,
                notes=notes.strip(),
                by=by.label,
                account=by.key,
                role=by.role,
                sealed_batch=sealed.number if sealed else None,
                sealed_chain=bytes(sealed.chain).hex() if sealed else "",
                of_request=present_request(),
            )
    except IntegrityError:  # two reviews at once: the other one won
        raise Problem(
            code="reviewed_already",
            title="Somebody else has just reviewed this period.",
            action="Open the page again and look at what is left.",
        ) from None
