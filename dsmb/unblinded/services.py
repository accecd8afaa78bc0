"""The verbs of room 5 on the unblinded side: register a recipient's key, build extracts."""

import hashlib
from datetime import datetime, timedelta

import structlog
from django.db.models import Q
from django.db.models.functions import Now

from dsmb.models import Extract
from dsmb.unblinded.keys import wrong_key
from dsmb.unblinded.models import RecipientKey
from dsmb.unblinded.package import sealed_package
from dsmb.unblinded.procedures import procedures
from dsmb.unblinded.records import analysis_arms, read_records, snapshot
from iwrs import clock
from iwrs.actors import SYSTEM, Actor
from iwrs.acts import act
from iwrs.models import Study
from iwrs.problems import Invalid
from iwrs.tasks import without_values

GIVEN_UP_AFTER = timedelta(minutes=10)  # far longer than a build takes
log = structlog.get_logger(__name__)


def register_recipient_key(
    study: Study, recipient: str, public_key: str, *, by: Actor
) -> RecipientKey:
    """Register or replace the age public key that a recipient's packages are sealed to.

    Packages sealed before stay sealed to the old key. Raises `Invalid` with one text a field.
    """
    problems = {}
    labels = [each.key for each in study.definition.recipients]
    if recipient not in labels:
        problems["recipient"] = f"Choose one of: {', '.join(labels)}."
    key = public_key.strip()
    wrong = wrong_key(key)
    if wrong:
        problems["public_key"] = wrong
    if problems:
        raise Invalid(problems)
    with act("register recipient key", by=by):
        registered, _ = RecipientKey.objects.update_or_create(
            study=study,
            recipient=recipient,
            defaults={
                "public_key": key,
                "registered_by": by.label,
                "registered_at": clock.study_now(study.replay_now),
            },
        )
        return registered


def work_extracts() -> int:
    """Build every extract that waits, oldest first, and return how many were taken.

    Two workers never take the same one. One that fails says so in its row and nothing more; the
    kind of error goes to this process's log, without values.
    """
    taken = 0
    while (extract := _take()) is not None:
        taken += 1
        _work(extract)
    return taken


def _take() -> Extract | None:
    """The next extract to build, marked as being built; also one whose worker was killed."""
    with act("build extract", by=SYSTEM):
        waiting = Extract.objects.filter(
            Q(status=Extract.Status.QUEUED)
            | Q(status=Extract.Status.BUILDING, building_since=None)
            | Q(status=Extract.Status.BUILDING, building_since__lt=Now() - GIVEN_UP_AFTER)
        )
        extract = (
            waiting.select_for_update(skip_locked=True, of=("self",), no_key=True)
            .select_related("study", "cut")
            .defer("sealed")
            .order_by("pk")
            .first()
        )
        if extract is None:
            return None
        Extract.objects.filter(pk=extract.pk).update(
            status=Extract.Status.BUILDING, building_since=Now()
        )
        extract.refresh_from_db(fields=["status", "building_since"])
        return extract


def _work(extract: Extract) -> None:
    began = extract.building_since
    try:
        sealed = _build(extract)
    except Exception as error:  # whatever it is, the public row says no more than "failed"
        log.error("extract failed", extract=extract.pk, **without_values(error))
        _finish(extract, began, status=Extract.Status.FAILED)
        return
    _finish(
        extract,
        began,
        status=Extract.Status.READY,
        sealed=sealed,
        size=len(sealed),
        sha256=hashlib.sha256(sealed).hexdigest(),
    )


def _build(extract: Extract) -> bytes:
    study, cut = extract.study, extract.cut
    if cut.study_id != study.pk:
        raise ValueError("the data cut is of another study")
    with snapshot():
        key = RecipientKey.objects.get(study=study, recipient=extract.recipient)
        records = read_records(study, cut.cut_on)
        arms = analysis_arms(study.definition)
        controls = study.definition.control_codes
        used = procedures(study, controls[0] if len(arms) == 2 else "")
    return sealed_package(
        study, records, arms.values(), cut.cut_on, key.public_key, procedures=used
    )


def _finish(extract: Extract, began: datetime | None, **fields: object) -> None:
    """Write the outcome, unless another worker took the extract over meanwhile."""
    with act("finish extract", by=SYSTEM):
        Extract.objects.filter(
            pk=extract.pk, status=Extract.Status.BUILDING, building_since=began
        ).update(
            finished_at=clock.study_now(extract.study.replay_now), building_since=None, **fields
        )
