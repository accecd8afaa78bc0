"""The planned unblinding of a whole study: two people, signed, for good, and when it is due."""

from datetime import date

from dsmb.models import DataCut
from dsmb.services import count_events
from iwrs import clock
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.models import Study
from iwrs.problems import Problem
from iwrs.signatures import Signature
from iwrs.signatures.services import keep, require_shown
from iwrs.studies import lock_design
from randomization.listing import Proof, commit
from randomization.listing.merkle import proofs
from randomization.models import OpenedAllocation, OpenedStudy
from randomization.unblinded.closing import shut
from randomization.unblinded.forced import forced_arms
from randomization.unblinded.models import Allocation, RandomizationList
from randomization.unblinded.models_life import Unblinding
from randomization.unblinded.parts import parts_of
from randomization.unblinded.records import unblinding_record

_BATCH = 1000


def events_at(study: Study, on: date) -> int:
    """Events of the definition's end point over all arms, up to a day."""
    wanted = study.definition.unblinded_at.endpoint
    reader = next(e.reader for e in study.definition.endpoints if e.code == wanted)
    counted = count_events(study, on=on)
    return {"local": counted.local, "central": counted.central, "none": counted.deaths}[reader]


def due(study: Study) -> Unblinding:
    """What would be signed now: the first data cut with enough events. Not stored.

    Raises `Problem` (not due yet) while accrual is not closed or no cut has the events that the
    study's definition asks for.
    """
    condition = study.definition.unblinded_at
    if Study.objects.get(pk=study.pk).status != Study.Status.CLOSED:
        raise Problem(
            code="unblinding_not_due",
            title="The study is not closed to accrual.",
            action="A study is unblinded after accrual is closed for good.",
        )
    for cut in DataCut.objects.filter(study=study).order_by("cut_on"):
        counted = events_at(study, cut.cut_on)
        if counted >= condition.events:
            return Unblinding(
                study=study,
                cut_on=cut.cut_on,
                endpoint=condition.endpoint,
                events_needed=condition.events,
                events_counted=counted,
            )
    raise Problem(
        code="unblinding_not_due",
        title=f"No data cut has the {condition.events} events of {condition.endpoint} "
        "that the study's definition asks for.",
        action="Unblind the study when the events have happened and the data were cut.",
    )


def waiting(study: Study) -> Unblinding | None:
    """The unblinding that one person has signed, or that is done."""
    return Unblinding.objects.filter(study=study).first()


def unblind(study: Study, *, by: Actor, signature: Signature) -> Unblinding:
    """Sign the unblinding of a study. The second signature, by another person, publishes every
    subject's treatment with its proof, and closes the list. It cannot be undone.
    """
    with act("unblind study", by=by, why=signature.meaning):
        lock_design(study)
        found = Unblinding.objects.select_for_update().filter(study=study).first()
        now = due(study)
        made = found or now
        require_shown(signature, unblinding_record(made))
        if found is None:
            made.first_by, made.first_at = by.label, signature.signed_at
        elif made.second_by:
            raise Problem(code="study_opened", title="The study is unblinded already.")
        elif made.first_by == by.label:
            raise Problem(
                code="same_person",
                title="A study is unblinded by two people.",
                action="Ask another unblinded statistician for the second signature.",
            )
        else:
            made.second_by, made.second_at = by.label, signature.signed_at
        made.save()
        keep(signature, unblinding_record(made), study=study)
        if made.second_by:
            _publish(made)
        return made


def _publish(made: Unblinding) -> None:
    study = made.study
    opened = OpenedStudy.objects.create(
        study=study,
        cut_on=made.cut_on,
        events=made.events_counted,
        first_by=made.first_by,
        second_by=made.second_by,
        opened_at=clock.study_now(study.replay_now),
    )
    rows: list[OpenedAllocation] = []
    lists = list(RandomizationList.objects.filter(study=study).order_by("number"))
    for each in lists:
        if each.status == RandomizationList.Status.ACTIVE:
            shut(each)  # first: it waits for places that are just taken
    named = set(forced_arms(study))
    for each in lists:
        rows += _opened(opened, each, named)
    rows.sort(key=lambda row: row.subject_id)
    OpenedAllocation.objects.bulk_create(rows, batch_size=_BATCH)


def _opened(
    opened: OpenedStudy, made: RandomizationList, named: set[int]
) -> list[OpenedAllocation]:
    """The rows of the subjects of one list. `named`: whose arm was forced."""
    taken = {
        (each.entry.stratum_key, each.entry.position): each
        for each in Allocation.objects.filter(entry__list=made).select_related("entry")
    }
    rows = []
    for part in parts_of(made) if taken else ():
        for proof in proofs(part.entries, commit(part.entries, bytes(made.seed))):
            allocation = taken.get((proof.entry.stratum, proof.entry.position))
            if allocation is not None:
                rows.append(
                    OpenedAllocation(
                        opened=opened,
                        subject_id=allocation.subject_id,
                        list_number=made.number,
                        part=part.number,
                        proof=_as_json(allocation.arm, proof)
                        | {"forced": allocation.subject_id in named},
                    )
                )
    return rows


def _as_json(arm: str, proof: Proof) -> dict[str, object]:
    return {
        "arm": arm,
        "stratum": proof.entry.stratum,
        "position": proof.entry.position,
        "block": proof.entry.block,
        "entry": proof.entry.arm,
        "salt": proof.salt.hex(),
        "index": proof.index,
        "size": proof.size,
        "path": [sibling.hex() for sibling in proof.path],
    }
