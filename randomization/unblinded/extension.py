"""More places for a list in use: a stratum runs low, or a centre brings a stratum of its own."""

from django.db.models import F, QuerySet

from iwrs import clock
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.models import Study
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Signature
from iwrs.signatures.services import keep, require_shown
from iwrs.studies import lock_design
from randomization.listing import Entry, ListDesignError, commit, generate
from randomization.listing.outside_file import IMPORTED
from randomization.models import ListCommitment
from randomization.unblinded.checks import Check, by_method
from randomization.unblinded.design import list_design
from randomization.unblinded.models import RandomizationList, StratumCursor
from randomization.unblinded.models_life import ListExtension
from randomization.unblinded.parts import (
    added_entries,
    design_of,
    extended,
    latest_design,
    stored_entries,
)
from randomization.unblinded.records import extension_record
from randomization.unblinded.services import store_entries

LOW_PLACES = 12  # a stratum with so few places left, or a tenth of its list, is shown as low
_OPEN = (ListExtension.Status.GENERATED, ListExtension.Status.APPROVED)


def low_strata(made: RandomizationList) -> list[StratumCursor]:
    """The strata of an active list that run low, the emptiest first. For unblinded staff only."""
    left = StratumCursor.objects.filter(list=made).annotate(
        left=F("length") - F("used") - F("apart")
    )
    return [
        each
        for each in left.order_by("left", "stratum_key")
        if each.left <= max(LOW_PLACES, each.length // 10)
    ]


def missing_strata(made: RandomizationList) -> list[str]:
    """Strata that the study has now and the list has not: of centres that came later."""
    known = set(latest_design(made).strata)
    return [key for key in list_design(made.study).strata if key not in known]


def open_extension(made: RandomizationList) -> ListExtension | None:
    """The extension that waits for approvals. There is at most one."""
    return made.extensions.filter(status__in=_OPEN).first()


def extend_list(made: RandomizationList, *, length: int, by: Actor) -> ListExtension:
    """Propose an extension of an active list to `length` places a stratum at least; strata that the
    list lacks are added. The streams of the same seed go on; no place is stored before two people
    approve.
    Raises `Invalid` for a length that adds nothing or too much, `Problem` when it cannot be now.
    """
    with act("extend list", by=by):
        lock_design(made.study)
        made = _active(made)
        if made.algorithm == IMPORTED:
            raise Problem(
                code="list_imported",
                title="An imported list has no stream to go on from.",
                action="Ask who made it for a longer one, and import that.",
            )
        if open_extension(made):
            raise Problem(
                code="extension_open",
                title="An extension of this list waits for approval.",
                action="Approve or withdraw it first.",
            )
        now = latest_design(made)
        if length < now.length:
            raise Invalid(
                {"length": f"The list has so many places already. Give {now.length} or more."}
            )
        before = _lengths(made)
        extension = ListExtension(
            list=made,
            part=made.extensions.filter(status=ListExtension.Status.ACTIVE).count() + 1,
            length=length,
            strata=[*now.strata, *missing_strata(made)],
            before=before,
            generated_by=by.label,
            generated_at=clock.now(),
        )
        entries = _added(extension)
        extension.merkle_root = commit(entries, bytes(made.seed)).root.hex()
        extension.save()
        return extension


def approve_extension(
    extension: ListExtension, *, by: Actor, signature: Signature
) -> ListExtension:
    """Approve an extension. With the second approval, by another person, its places are stored and
    in use, and the root over them is published.
    """
    with act("approve extension", by=by, why=signature.meaning):
        lock_design(extension.list.study)
        extension = _still_open(extension)
        require_shown(signature, extension_record(extension))
        if by.label in {extension.generated_by, extension.first_approved_by}:
            raise Problem(
                code="same_person",
                title="An extension is approved by two people, neither of whom proposed it.",
                action="Ask another unblinded statistician.",
            )
        if not extension.first_approved_by:
            extension.first_approved_by = by.label
            extension.first_approved_at = signature.signed_at
            extension.status = ListExtension.Status.APPROVED
        else:
            extension.second_approved_by = by.label
            extension.second_approved_at = signature.signed_at
            extension.status = ListExtension.Status.ACTIVE
        extension.save()
        keep(signature, extension_record(extension), study=extension.list.study)
        if extension.status == ListExtension.Status.ACTIVE:
            _take_into_use(extension)
        return extension


def withdraw_extension(extension: ListExtension, *, by: Actor, why: str) -> ListExtension:
    """Give a proposed extension up; it stays in the record. Its places were never stored."""
    if not why.strip():
        raise Invalid({"why": "Say why this extension is withdrawn."})
    with act("withdraw extension", by=by, why=why.strip()):
        lock_design(extension.list.study)
        extension = _still_open(extension)
        extension.status, extension.why_withdrawn = ListExtension.Status.WITHDRAWN, why.strip()
        extension.save(update_fields=["status", "why_withdrawn"])
        return extension


def report(extension: ListExtension) -> list[Check]:
    """What two people look at before they approve: does it go on where the list ends?"""
    made = extension.list
    design = extended(design_of(made), extension)
    entries, stored = _added(extension), stored_entries(made)
    again = {(e.stratum, e.position): e for e in generate(design, bytes(made.seed))}
    return [
        Check(
            "Goes on where the list ends",
            "The longer list from the same seed begins with the list in use, place by place.",
            passed=all(again.get((e.stratum, e.position)) == e for e in stored),
        ),
        Check(
            "Merkle root",
            "The root of the added places is the one that will be published.",
            passed=commit(entries, bytes(made.seed)).root.hex() == extension.merkle_root,
        ),
        Check(
            "Lengths until now",
            "The list is as long as when the extension was proposed.",
            passed=_lengths(made) == extension.before,
        ),
        *by_method(design, entries, dynamic=made.dynamic),
    ]


def lengths(extension: ListExtension) -> list[tuple[str, int, int]]:
    """Each stratum with its places until now and after the extension."""
    after = dict(extension.before)
    for entry in _added(extension):
        after[entry.stratum] = entry.position
    return [(key, extension.before.get(key, 0), after.get(key, 0)) for key in extension.strata]


def publish(made: RandomizationList, root: str, part: int) -> None:
    """Show the blinded side the root of a list (part 0) or of one of its extensions."""
    ListCommitment.objects.create(
        study_id=made.study_id,
        list_number=made.number,
        part=part,
        algorithm=made.algorithm,
        merkle_root=root,
        approved_at=clock.now(),
    )


def _added(extension: ListExtension) -> tuple[Entry, ...]:
    made = extension.list
    try:
        design = extended(design_of(made), extension)
    except ListDesignError as wrong:
        raise Invalid({"length": str(wrong)}) from None
    entries = added_entries(design, bytes(made.seed), extension.before)
    if not entries:
        raise Invalid({"length": "The list has so many places already. Give a larger number."})
    return entries


def _take_into_use(extension: ListExtension) -> None:
    made = extension.list
    if _lengths(made) != extension.before:
        raise Problem(code="list_changed", title="The list is not as long as it was.")
    store_entries(made, _added(extension))
    publish(made, extension.merkle_root, extension.part)


def _lengths(made: RandomizationList) -> dict[str, int]:
    rows = StratumCursor.objects.filter(list=made).order_by("stratum_key")
    return dict(rows.values_list("stratum_key", "length"))


def _active(made: RandomizationList) -> RandomizationList:
    rows: QuerySet[RandomizationList] = RandomizationList.objects.select_for_update(no_key=True)
    found = rows.filter(pk=made.pk, status=RandomizationList.Status.ACTIVE).first()
    if found is None:
        raise Problem(code="list_not_active", title="Only an active list is extended.")
    return found


def _still_open(extension: ListExtension) -> ListExtension:
    rows = ListExtension.objects.select_for_update()
    found = rows.filter(pk=extension.pk, status__in=_OPEN).first()
    if found is None:
        raise Problem(
            code="extension_closed", title="This extension does not wait for an approval."
        )
    _active(found.list)
    return found


def active_list(study: Study) -> RandomizationList | None:
    """The study's list in use."""
    return RandomizationList.objects.filter(
        study=study, status=RandomizationList.Status.ACTIVE
    ).first()
