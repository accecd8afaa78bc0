"""The verbs of room 5 on the blinded side: count events, cut the data, ask for a sealed extract.

Nothing here knows an arm: counts are of all subjects together, and an extract is a row that the
unblinded worker answers with a sealed file.
"""

from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from math import ceil
from pathlib import Path

from django.db import connection, transaction
from django.db.models import Min, QuerySet

from dsmb.models import DataCut, Extract, InterimNotice
from dsmb.records import cuts_record, extract_record, release_record
from enrolment.models import Subject
from iwrs import clock, gate, outbox
from iwrs.actors import SYSTEM, Actor
from iwrs.acts import act
from iwrs.definition import StudyDefinition
from iwrs.locks import lock
from iwrs.models import Study
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Signature
from iwrs.signatures.services import keep, require_shown
from iwrs.tasks import wake_unblinded

EVENTS_SQL = (Path(__file__).parent / "sql" / "count_events.sql").read_text(encoding="utf-8")


@dataclass(frozen=True)
class EventCount:
    """Events of all subjects together at a date: PFS by reader, deaths; `planned` for the trial.

    `primary` is the one of the three that the interim analysis counts.
    """

    local: int
    central: int
    deaths: int
    planned: int
    primary: int


def study_today(study: Study) -> date:
    """The study's present business date (UTC)."""
    return clock.study_now(study.replay_now).date()


def count_events(study: Study, *, on: date | None = None) -> EventCount:
    """Count the events up to `on` (default: today), by the rule of `dsmb.analysis.outcome`."""
    with connection.cursor() as cursor:
        cursor.execute(EVENTS_SQL, {"study": study.pk, "on": on or study_today(study)})
        return event_count(study.definition, *cursor.fetchone())


def event_count(definition: StudyDefinition, local: int, central: int, deaths: int) -> EventCount:
    """The row of `EVENTS_SQL`, with what the study's interim analysis makes of it."""
    interim = definition.interim
    reader = next(e.reader for e in definition.endpoints if e.code == interim.endpoint)
    primary = {"local": local, "central": central, "none": deaths}[reader]
    return EventCount(local, central, deaths, interim.planned_events, primary)


def planned_looks(study: Study) -> tuple[int, ...]:
    """The number of events at which each look is planned, rounded up."""
    interim = study.definition.interim
    # A fraction of the written number: 0.07 times 100 is 7 events, where floats would say 8.
    return tuple(ceil(Fraction(str(look)) * interim.planned_events) for look in interim.looks)


def watch_events(study: Study) -> list[InterimNotice]:
    """Make a notice, and an e-mail to administrators, for each look whose planned count is reached.

    Once per look, and never in a study for training. A notice is not a data cut: people choose
    the date.
    """
    if study.training:
        return []
    count = count_events(study)
    known = set(study.interim_notices.values_list("look", flat=True))
    reached = [
        (look, planned)
        for look, planned in enumerate(planned_looks(study), start=1)
        if count.primary >= planned and look not in known
    ]
    if not reached:
        return []
    with act("notice planned events", by=SYSTEM):
        lock(Study.objects, study.pk)
        known = set(study.interim_notices.values_list("look", flat=True))
        return [
            _notice(study, look, planned, count.primary)
            for look, planned in reached
            if look not in known
        ]


def _notice(study: Study, look: int, planned: int, events: int) -> InterimNotice:
    notice = InterimNotice.objects.create(
        study=study,
        look=look,
        planned_events=planned,
        events=events,
        noticed_at=clock.study_now(study.replay_now),
    )
    outbox.queue(
        study, "interim-notice", key=f"interim-notice-{notice.pk}", refs={"notice": notice.pk}
    )
    return notice


def cut_data(study: Study, *, by: Actor, on: date | None, reason: str) -> DataCut:
    """Fix the date up to which an analysis counts what happened. A date is cut once.

    Never in a study for training: so nothing of it is ever exported to a committee.
    """
    if study.training:
        raise Problem(
            code="training_study",
            title="This study is for training: its data are not analysed.",
            action="Nothing was saved.",
        )
    problems = {"on": "Give the date of the cut."} if on is None else _wrong_day(study, on)
    if not reason.strip():
        problems["reason"] = "Say why the data are cut."
    if on is None or problems:
        raise Invalid(problems)
    with act("cut data", by=by, why=reason):
        lock(Study.objects, study.pk)
        if study.data_cuts.filter(cut_on=on).exists():
            raise Problem(
                code="cut_exists",
                title=f"The data are already cut on {on:%-d %B %Y}.",
                action="Use the cut that exists, or choose another date.",
            )
        return DataCut.objects.create(
            study=study,
            cut_on=on,
            reason=reason.strip(),
            made_by=by.label,
            made_at=clock.study_now(study.replay_now),
        )


def _wrong_day(study: Study, on: date) -> dict[str, str]:
    if on > study_today(study):
        return {"on": "This day is in the future."}
    first = Subject.objects.filter(study=study).aggregate(moment=Min("randomized_at"))["moment"]
    if first is None:
        return {"on": "No subject is randomized yet."}
    if on < first.date():
        return {"on": f"The first subject was randomized on {first:%-d %B %Y}."}
    return {}


def request_extract(
    study: Study,
    cut: DataCut,
    *,
    recipient: str,
    by: Actor,
    reason: str,
    signature: Signature | None = None,
) -> Extract:
    """Ask the unblinded worker for a package sealed to one recipient of the definition.

    People sign it on their page; a command does not.

    Raises `Invalid` with one text a field, and `Problem` when nobody could open the package.
    """
    labels = {each.key: each.label for each in study.definition.recipients}
    problems = {}
    if recipient not in labels:
        problems["recipient"] = f"Choose one of: {', '.join(labels)}."
    if cut.study_id != study.pk:
        problems["cut"] = "This data cut is of another study."
    if not reason.strip():
        problems["reason"] = "Say what the extract is for."
    if problems:
        raise Invalid(problems)
    with act("request extract", by=by, why=reason):
        if signature:
            require_shown(signature, cuts_record(study))
        if gate.call("recipient_fingerprint", study.pk, recipient) is None:
            raise Problem(
                code="no_recipient_key",
                title=f"No key is registered for {labels[recipient]}.",
                action="Ask the unblinded statistician to register the recipient's public key.",
                errors={"recipient": "Nobody could open a package for this recipient."},
            )
        extract = Extract.objects.create(
            study=study,
            cut=cut,
            recipient=recipient,
            reason=reason.strip(),
            requested_by=by.label,
            requested_at=clock.study_now(study.replay_now),
        )
        if signature:
            keep(signature, extract_record(extract), study=study)
        transaction.on_commit(wake_unblinded)
        return extract


def extracts_of(study: Study) -> QuerySet[Extract]:
    """The study's extracts, newest first, without the sealed bytes."""
    return study.extracts.select_related("cut").defer("sealed")


def release_extract(extract: Extract, *, by: Actor, signature: Signature) -> Extract:
    """Let a sealed file leave the system, by another person than asked for it, with a signature.

    Raises `Problem` for an extract that is not ready, or is released already.
    """
    with act("release extract", by=by, why=signature.meaning):
        extract = lock(Extract.objects.select_related("study", "cut"), extract.pk)
        record = release_record(extract)
        require_shown(signature, record)
        if extract.status != Extract.Status.READY:
            raise _not_in_state("This extract is not ready.", extract)
        if extract.requested_by == by.label:
            raise Problem(
                code="same_person",
                title="The person who asked for an extract cannot release it.",
                action="Ask another person with the right to release.",
            )
        extract.status = Extract.Status.RELEASED
        extract.save(update_fields=["status"])
        keep(signature, record, study=extract.study)
        return extract


def sealed_file(extract: Extract) -> bytes:
    """The sealed file of an extract that was released. It can be handed over again."""
    found = Extract.objects.get(pk=extract.pk)
    if found.status != Extract.Status.RELEASED:
        raise _not_in_state("This extract is not released.", found)
    return bytes(found.sealed or b"")


def waiting_for_release(studies: QuerySet[Study]) -> QuerySet[Extract]:
    """Sealed files of these studies that are ready, oldest first."""
    ready = Extract.objects.filter(study__in=studies, status=Extract.Status.READY)
    return ready.select_related("study", "cut").defer("sealed").order_by("pk")


def _not_in_state(title: str, extract: Extract) -> Problem:
    return Problem(
        code="extract_not_ready",
        title=title,
        action=f"Its state is: {extract.get_status_display()}.",
    )
