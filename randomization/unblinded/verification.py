"""Is each list still the one that was published, and does each allocation follow from it?

The same questions as `randomization/outside/verify_list.py` asks of an exported bundle, asked here
of the database, with the system's own generator and proofs. No text tells an arm or a seed.
"""

from collections import Counter
from collections.abc import Iterator

from iwrs.models import Study, StudyVersion
from randomization.listing import commit, verify
from randomization.listing.merkle import proofs
from randomization.listing.outside_file import IMPORTED
from randomization.methods import Minimization
from randomization.models import LateEntry, ListCommitment, Randomization
from randomization.unblinded.bundle import published_root
from randomization.unblinded.design import design_record, same_design
from randomization.unblinded.imported import read_again
from randomization.unblinded.models import (
    Allocation,
    ForcedAllocation,
    RandomizationList,
    StratumCursor,
)
from randomization.unblinded.models_life import ListOrigin
from randomization.unblinded.parts import Part, added_entries, design_of, parts_of
from randomization.unblinded.replayed import Replay, Turns
from randomization.unblinded.seeds import seed_of

_IN_USE = (RandomizationList.Status.ACTIVE, RandomizationList.Status.CLOSED)


def faults_of(study: Study) -> Iterator[str]:
    """Everything that is wrong with the study's lists and allocations, in words; nothing if all
    agrees.
    """
    taken = set(Allocation.objects.filter(entry__list__study=study).values_list("entry__list"))
    published = set(ListCommitment.objects.filter(study=study).values_list("list_number"))
    for made in RandomizationList.objects.filter(study=study).order_by("number"):
        told = (made.number,) in published
        if made.status not in _IN_USE:
            if not told and (made.pk,) not in taken:
                continue
            yield f"list {made.number}: it is published or has subjects, and was never in use"
        published.discard((made.number,))
        yield from _seed_faults(made)
        yield from _design_faults(made)
        if made.dynamic != _decides(made):
            yield f"list {made.number}: when arms are decided is not as the method says"
        before: dict[str, int] = {}
        for part in parts_of(made):
            name = f"list {made.number}" + (f", extension {part.number}" if part.number else "")
            yield from _place_faults(name, made, part, before)
            yield from _proof_faults(name, made, part)
            for entry in part.entries:
                before[entry.stratum] = max(before.get(entry.stratum, 0), entry.position)
        yield from _cursor_faults(made)
    yield from (f"list {number}: was published and is not there" for (number,) in sorted(published))
    yield from _allocation_faults(study)
    yield from _forced_faults(study)
    yield from _subject_faults(study)


def _decides(made: RandomizationList) -> bool:
    """Whether the list's method decides each arm when the subject comes."""
    return isinstance(design_of(made).method, Minimization)


def _seed_faults(made: RandomizationList) -> Iterator[str]:
    origin = ListOrigin.objects.filter(list=made).select_related("split").first()
    if origin and origin.split and seed_of(origin.split) != bytes(made.seed):
        yield f"list {made.number}: the seed is not that of the two shares"


def _design_faults(made: RandomizationList) -> Iterator[str]:
    """Arms, ratio, method and strata are those of the definition that the list was made for. Keys
    that lists did not keep in earlier days are passed over.
    """
    if made.algorithm == IMPORTED:
        return
    origin = ListOrigin.objects.filter(list=made).first()
    version = (
        origin
        and StudyVersion.objects.filter(
            study=made.study_id, number=origin.definition_version, sha256=origin.definition_sha256
        ).first()
    )
    if not version:
        yield f"list {made.number}: the study has no definition that it was made for"
        return
    kept = {"method": "permuted-blocks"} | made.design
    now = design_record(made.study, version.parsed)
    if not same_design({key: now[key] for key in now if key in kept}, kept):
        yield f"list {made.number}: the design is not that of the definition it was made for"


def _place_faults(
    name: str, made: RandomizationList, part: Part, before: dict[str, int]
) -> Iterator[str]:
    """(1) Made again from design and seed, or read again from its file, byte for byte."""
    if made.algorithm == IMPORTED:
        source, places = "what the imported file says", read_again(made) or ()
    else:
        source = "what design and seed give"
        places = added_entries(part.design, bytes(made.seed), before)
    again = {(each.stratum, each.position): each for each in places}
    stored = {(each.stratum, each.position): each for each in part.entries}
    for stratum, position in sorted(again.keys() | stored.keys()):
        if again.get((stratum, position)) != stored.get((stratum, position)):
            yield f"{name}: place {position} of {stratum} is not {source}"


def _proof_faults(name: str, made: RandomizationList, part: Part) -> Iterator[str]:
    """(3) Each place that a subject has is proved against the root that was published."""
    published = published_root(made, part.number)
    if published != part.root:
        yield f"{name}: the root is not the one that was published"
    if not part.entries:
        return
    commitment = commit(part.entries, bytes(made.seed))
    if commitment.root.hex() != published:
        yield f"{name}: the stored places do not give the root that was published"
    taken = Allocation.objects.filter(entry__list=made)
    places = set(taken.values_list("entry__stratum_key", "entry__position"))
    root = bytes.fromhex(published)
    for proof in proofs(part.entries, commitment):
        entry = proof.entry
        if (entry.stratum, entry.position) in places and not verify(
            root, entry, proof.salt, proof.index, proof.size, proof.path
        ):
            yield f"{name}: no proof of place {entry.position} of {entry.stratum}"


def _cursor_faults(made: RandomizationList) -> Iterator[str]:
    counted = Counter(
        Allocation.objects.filter(entry__list=made).values_list("entry__stratum_key", flat=True)
    )
    for cursor in StratumCursor.objects.filter(list=made):
        if cursor.subjects != counted[cursor.stratum_key]:
            yield (
                f"list {made.number}: {cursor.subjects} places of {cursor.stratum_key} are counted "
                f"as used, and {counted[cursor.stratum_key]} subjects have one"
            )


def _allocation_faults(study: Study) -> Iterator[str]:
    """(2) Replay: each subject has the next place of the recorded stratum, and the arm that stands
    there or, of a dynamic method, that follows from its draw and the margins before. An arm that
    was named beforehand stands above the place's own, and a place that was told on paper is for the
    subject who was told it.
    """
    turns = Turns(study)
    latest: dict[tuple[int, str], int] = {}
    named = dict(ForcedAllocation.objects.filter(study=study).values_list("subject_id", "arm"))
    lists = RandomizationList.objects.filter(study=study)
    replays = {made.pk: Replay(made) for made in lists if _decides(made)}
    rows = (
        Allocation.objects.filter(entry__list__study=study)
        .select_related("entry__list", "entry__decision", "subject__randomization")
        .order_by("allocated_at", "pk")
    )
    for each in rows.iterator():
        entry, who = each.entry, f"subject {each.subject.number}"
        place = f"place {entry.position} of {entry.stratum_key}"
        if turn := turns.missed(each):
            yield f"{who}: has {place}, {turn} was next"
        known = getattr(each.subject, "randomization", None)
        asked = known.stratum_key if known else ""
        if known is None:
            yield f"{who}: has a place and was not randomized"
        # The blinded side writes its row while it holds the stratum: both are in one order.
        elif known.pk < latest.get((entry.list_id, entry.stratum_key), 0):
            yield f"{who}: was randomized before another subject, who has an earlier place"
        else:
            latest[entry.list_id, entry.stratum_key] = known.pk
        if replay := replays.get(entry.list_id):
            yield from (f"{who}: {fault} of {place}" for fault in replay.faults(each, asked))
        elif known and asked != entry.stratum_key:
            yield f"{who}: was in stratum {asked}, has a place of {entry.stratum_key}"
        elif each.arm != named.get(each.subject_id, entry.arm):
            yield f"{who}: the arm is not that of {place}"


def _forced_faults(study: Study) -> Iterator[str]:
    """An arm is named before the subject is randomized, where a definition of the study allows it,
    or it is that of a place which was told on paper; and never of a method that decides when the
    subject comes.
    """
    allowed = any(each.parsed.randomization.forced_allocation for each in study.versions.all())
    rows = Allocation.objects.filter(subject__study=study).select_related("entry__list")
    taken = {each.subject_id: each for each in rows}
    named = ForcedAllocation.objects.filter(study=study)
    numbers = dict(
        LateEntry.objects.filter(randomization__study=study)
        .values_list("randomization__subject", "paper_number")
    )  # fmt: skip
    for each in named.select_related("subject", "told_entry__list"):
        who, found = f"subject {each.subject.number}", taken.get(each.subject_id)
        told = each.told_entry
        if told is None and not allowed:
            yield f"{who}: an arm was named, and no definition of the study allows it"
        if told and (told.arm, told.list.study_id) != (each.arm, study.pk):
            yield f"{who}: the arm is not that of the place which was told on paper"
        if told and found and numbers.get(each.subject_id) != each.paper_number:
            yield f"{who}: was not entered with the paper number that was accepted"
        if found and found.allocated_at <= each.forced_at:
            yield f"{who}: the arm was named after the subject was randomized"
        if found and found.entry.list.dynamic:
            yield f"{who}: an arm was named, and list {found.entry.list.number} decides by itself"


def _subject_faults(study: Study) -> Iterator[str]:
    without = Randomization.objects.filter(study=study).exclude(
        subject__in=Allocation.objects.values("subject")
    )
    for number in without.values_list("subject__number", flat=True):
        yield f"subject {number}: was randomized and has no place"
