"""The list's life on the unblinded side: generate, approve by two people, release the gate."""

import secrets
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from iwrs import clock
from iwrs.actors import Actor
from iwrs.acts import act
from iwrs.models import Study
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Signature
from iwrs.signatures.services import keep, require_shown
from iwrs.studies import lock_design, take_into_force
from randomization.listing import Entry, commit, generate
from randomization.models import ListCommitment
from randomization.unblinded.arms import made_for_these_arms, require_arms_of_lists
from randomization.unblinded.closing import shut
from randomization.unblinded.design import (
    definition_of_next_list,
    design_record,
    list_design,
    same_design,
)
from randomization.unblinded.forced import require_none_waits
from randomization.unblinded.models import (
    CallRelease,
    CodeBreakBudget,
    ListEntry,
    RandomizationList,
    StratumCursor,
)
from randomization.unblinded.models_life import ListOrigin, SplitSeed, Unblinding
from randomization.unblinded.records import calls_record, list_record, release_record
from randomization.unblinded.seeds import seed_of, use_split


def generate_list(
    study: Study, *, by: Actor, seed: bytes | None = None, split: SplitSeed | None = None
) -> RandomizationList:
    """Make the study's list from a new seed of the operating system, or from a split seed.

    A seed serves one list only, ever; the database refuses a second use. Only a simulated study
    accepts a `seed` from outside: who gives a seed knows the list.
    """
    source = _source(seed, split)
    if seed is not None and not study.simulated:
        raise Problem(
            code="seed_given",
            title="A study with real subjects takes its seed from the operating system.",
            action="Generate the list without giving a seed.",
        )
    definition = definition_of_next_list(study)
    design = list_design(study, definition)
    seed = seed_of(split) if split else seed or secrets.token_bytes(32)
    entries = generate(design, seed)
    with act("generate list", by=by):
        lock_design(study)
        require_no_active_list(study)
        if RandomizationList.objects.filter(seed=seed).exists():
            raise Problem(
                code="seed_used", title="This seed was used before.", action="Take a new seed."
            )
        made = store_list(
            study,
            entries,
            algorithm=design.method.algorithm,
            design=design_record(study, definition),
            dynamic=definition.randomization.dynamic,
            seed=seed,
            generated_by=by.label,
        )
        if split:
            use_split(split)
        record_origin(made, source, split=split)
        return made


def store_list(study: Study, entries: tuple[Entry, ...], **facts: Any) -> RandomizationList:
    """Store the study's next list with its places, within the act that makes it. `facts`: the
    columns that say how it was made and by whom.
    """
    made = RandomizationList.objects.create(
        study=study,
        number=RandomizationList.objects.filter(study=study).count() + 1,
        merkle_root=commit(entries, facts["seed"]).root.hex(),
        generated_at=clock.now(),
        **facts,
    )
    store_entries(made, entries)
    return made


def require_no_active_list(study: Study) -> None:
    """Raise `Problem` while the study has a list in use and no definition for a next one, and for
    good once the study is unblinded.
    """
    _require_blinded(study)
    if study.announced():
        return
    if RandomizationList.objects.filter(study=study, status="active").exists():
        raise Problem(
            code="list_exists",
            title="The study already has an active list.",
            action="An active list is replaced only when another definition was announced for it.",
        )


def record_origin(
    made: RandomizationList, source: str, *, split: SplitSeed | None = None
) -> ListOrigin:
    """Keep where a list came from and by which definition, within the act that makes it."""
    version = made.study.announced() or made.study.version
    return ListOrigin.objects.create(
        list=made,
        source=source,
        split=split,
        definition_version=version.number,
        definition_sha256=version.sha256,
    )


def _source(seed: bytes | None, split: SplitSeed | None) -> str:
    if split is not None:
        return ListOrigin.Source.SPLIT
    return ListOrigin.Source.SYSTEM if seed is None else ListOrigin.Source.GIVEN


def approve_list(made: RandomizationList, *, by: Actor, signature: Signature) -> RandomizationList:
    """Approve a list. The second approval, by another person, makes it active and publishes its
    Merkle root. Neither approver may be the person who generated it.
    """
    with act("approve list", by=by, why=signature.meaning):
        lock_design(made.study)
        made = RandomizationList.objects.select_for_update(no_key=True).get(pk=made.pk)
        require_shown(signature, list_record(made))
        _require_approvable(made, by)
        if not made.first_approved_by:
            made.first_approved_by = by.label
            made.first_approved_at = signature.signed_at
            made.status = RandomizationList.Status.APPROVED
        else:
            made.second_approved_by = by.label
            made.second_approved_at = signature.signed_at
            _end_the_one_before(made.study)
            made.status = RandomizationList.Status.ACTIVE
        made.save()
        keep(signature, list_record(made), study=made.study)
        if made.status == RandomizationList.Status.ACTIVE:
            _activate(made)
        return made


def _end_the_one_before(study: Study) -> None:
    """Close the list in use at the moment at which the next one comes into use."""
    rows = RandomizationList.objects.select_for_update(no_key=True)
    for each in rows.filter(study=study, status=RandomizationList.Status.ACTIVE):
        require_no_active_list(Study.objects.get(pk=study.pk))  # a next one must be announced
        shut(each)


def release_calls(
    cursor: StratumCursor, *, by: Actor, why: str, signature: Signature | None = None
) -> StratumCursor:
    """Let allocation go on after an alarm, once the abandoned calls were looked at."""
    with act("release allocation calls", by=by, why=why):
        cursor = StratumCursor.objects.select_for_update().get(pk=cursor.pk)
        calls = max(abandoned("stratum", cursor.pk, cursor.subjects), 0)
        cursor.released_calls = calls
        cursor.save(update_fields=["released_calls"])
        release = CallRelease(
            study=cursor.list.study, kind="stratum", key=cursor.pk, name=cursor.stratum_key
        )
        keep_release(release, calls, by=by, why=why, signature=signature)
        return cursor


def keep_release(
    release: CallRelease, calls: int, *, by: Actor, why: str, signature: Signature | None
) -> None:
    """Keep who released the calls of a place, when and why, within an open act."""
    if not why.strip():
        raise Invalid({"why": "Say what the calls were, and why it is safe to go on."})
    if signature:
        shown = calls_record(release.kind, release.key, release.name, calls)
        require_shown(signature, shown)
    release.calls, release.reason, release.released_by = calls, why.strip(), by.label
    release.save()
    if signature:
        keep(signature, release_record(release), study=release.study)


def releases_of(study: Study, kind: str, key: int) -> QuerySet[CallRelease]:
    """Earlier releases of one stratum or centre, newest first."""
    return CallRelease.objects.filter(study=study, kind=kind, key=key).order_by("-pk")


def abandoned(kind: str, pk: int, completed: int) -> int:
    """Calls of a gate that never became an act: attempts minus completed acts."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_sequence_last_value(%s::regclass)", [f"unblinded.calls_{kind}_{pk}"]
        )
        return (cursor.fetchone()[0] or 0) - completed


def open_calls(kind: str, keys: list[int]) -> None:
    """Make the counter of attempts of each stratum or centre (keys)."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT unblinded.open_calls(%s, id) FROM unnest(%s::bigint[]) AS id", [kind, keys]
        )


def store_entries(made: RandomizationList, entries: tuple[Entry, ...]) -> None:
    """Store places within an open act: new strata get a cursor, others become longer."""
    ListEntry.objects.bulk_create(
        (
            ListEntry(
                list=made,
                stratum_key=entry.stratum,
                position=entry.position,
                block=entry.block,
                arm="" if made.dynamic else entry.arm,
                draw=int(entry.arm) if made.dynamic else None,
            )
            for entry in entries
        ),
        batch_size=2000,
    )
    lengths: dict[str, int] = {}
    for entry in entries:
        lengths[entry.stratum] = max(lengths.get(entry.stratum, 0), entry.position)
    known = {each.stratum_key: each for each in StratumCursor.objects.filter(list=made)}
    for key, cursor in known.items():
        cursor.length = lengths.pop(key, cursor.length)
    StratumCursor.objects.bulk_update(known.values(), ["length"])
    new = [StratumCursor(list=made, stratum_key=key, length=lengths[key]) for key in lengths]
    open_calls("stratum", [each.pk for each in StratumCursor.objects.bulk_create(new)])


def _require_approvable(made: RandomizationList, by: Actor) -> None:
    if made.status not in {RandomizationList.Status.GENERATED, RandomizationList.Status.APPROVED}:
        raise Problem(code="list_not_open", title="This list does not wait for an approval.")
    if by.label in {made.generated_by, made.first_approved_by}:
        raise Problem(
            code="same_person",
            title="A list is approved by two people, neither of whom generated it.",
            action="Ask another unblinded statistician.",
        )
    study = Study.objects.get(pk=made.study_id)  # as it is now that the design is locked
    _require_blinded(study)
    require_none_waits(made)
    _require_version_seen(made, study)
    definition = definition_of_next_list(study)
    require_arms_of_lists(study, definition)
    same = same_design(design_record(study, definition), made.design)
    if not (same and made_for_these_arms(made, definition)):
        raise Problem(
            code="definition_changed",
            title="The study definition changed after this list was generated.",
            action="Generate a new list.",
        )


def _require_version_seen(made: RandomizationList, study: Study) -> None:
    """What comes into force with the list is the definition that its approvers were shown."""
    announced = study.announced()
    origin = ListOrigin.objects.filter(list=made).first()
    if announced and origin and origin.definition_sha256 != announced.sha256:
        raise Problem(
            code="definition_changed",
            title="Another definition was announced after this list was generated.",
            action="Generate a new list.",
        )


def _require_blinded(study: Study) -> None:
    if Unblinding.objects.filter(study=study).exclude(second_by="").exists():
        raise Problem(code="study_opened", title="The study is unblinded already.")


def _activate(made: RandomizationList) -> None:
    ListCommitment.objects.create(
        study_id=made.study_id,
        list_number=made.number,
        algorithm=made.algorithm,
        merkle_root=made.merkle_root,
        approved_at=clock.now(),
    )
    CodeBreakBudget.objects.get_or_create(study_id=made.study_id)
    announced = Study.objects.get(pk=made.study_id).announced()
    if announced:
        take_into_force(announced)
