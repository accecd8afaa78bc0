"""Is each list still the one that was published, and does each allocation follow from it?

The same questions as `randomization/outside/verify_list.py` asks of an exported bundle, asked here
of the database, with the system's own generator and proofs. No text tells an arm or a seed.
"""

from collections import Counter
from collections.abc import Iterator

from iwrs.models import Study
from randomization.listing import Commitment, Entry, commit, generate, verify
from randomization.listing.merkle import proofs
from randomization.methods import Minimization, tracks
from randomization.models import Randomization
from randomization.unblinded.bundle import published_root
from randomization.unblinded.checks import design_of, stored_entries
from randomization.unblinded.models import Allocation, RandomizationList, StratumCursor
from randomization.unblinded.models_life import ListOrigin
from randomization.unblinded.seeds import seed_of

_IN_USE = (RandomizationList.Status.ACTIVE, RandomizationList.Status.CLOSED)


def faults_of(study: Study) -> Iterator[str]:
    """Everything that is wrong with the study's lists and allocations, in words; nothing if all
    agrees.
    """
    for made in RandomizationList.objects.filter(study=study, status__in=_IN_USE):
        entries = stored_entries(made)
        yield from _list_faults(made, entries)
        yield from _proof_faults(made, entries)
        yield from _cursor_faults(made)
    yield from _allocation_faults(study)
    yield from _subject_faults(study)


def _list_faults(made: RandomizationList, entries: tuple[Entry, ...]) -> Iterator[str]:
    """(1) Made again from design and seed, byte for byte."""
    name = f"list {made.number}"
    origin = ListOrigin.objects.filter(list=made).select_related("split").first()
    if origin and origin.split and seed_of(origin.split) != bytes(made.seed):
        yield f"{name}: the seed is not that of the two shares"
    again = {(e.stratum, e.position): e for e in generate(design_of(made), bytes(made.seed))}
    stored = {(e.stratum, e.position): e for e in entries}
    for stratum, position in sorted(again.keys() | stored.keys()):
        if again.get((stratum, position)) != stored.get((stratum, position)):
            yield f"{name}: place {position} of {stratum} is not what design and seed give"


def _proof_faults(made: RandomizationList, entries: tuple[Entry, ...]) -> Iterator[str]:
    """(3) Each place that a subject has is proved against the root that was published."""
    name, published = f"list {made.number}", published_root(made)
    if published != made.merkle_root:
        yield f"{name}: the root is not the one that was published"
    if not entries:
        return
    commitment = commit(entries, bytes(made.seed))
    if commitment.root.hex() != published:
        yield f"{name}: the stored places do not give the root that was published"
    yield from _unproved(made, entries, commitment, published)


def _unproved(
    made: RandomizationList, entries: tuple[Entry, ...], commitment: Commitment, published: str
) -> Iterator[str]:
    taken = set(
        Allocation.objects.filter(entry__list=made).values_list(
            "entry__stratum_key", "entry__position"
        )
    )
    root = bytes.fromhex(published)
    for proof in proofs(entries, commitment):
        entry = proof.entry
        if (entry.stratum, entry.position) in taken and not verify(
            root, entry, proof.salt, proof.index, proof.size, proof.path
        ):
            yield f"list {made.number}: no proof of place {entry.position} of {entry.stratum}"


def _cursor_faults(made: RandomizationList) -> Iterator[str]:
    counted = Counter(
        Allocation.objects.filter(entry__list=made).values_list("entry__stratum_key", flat=True)
    )
    for cursor in StratumCursor.objects.filter(list=made):
        if cursor.used != counted[cursor.stratum_key]:
            yield (
                f"list {made.number}: {cursor.used} places of {cursor.stratum_key} are counted as "
                f"used, and {counted[cursor.stratum_key]} subjects have one"
            )


def _allocation_faults(study: Study) -> Iterator[str]:
    """(2) Replay: each subject has the next place of the recorded stratum, and the arm that stands
    there or, of a dynamic method, that follows from its draw and the margins before.
    """
    used: Counter[tuple[int, str]] = Counter()
    replays: dict[int, Replay] = {}
    rows = (
        Allocation.objects.filter(entry__list__study=study)
        .select_related("entry__list", "entry__decision", "subject__randomization")
        .order_by("allocated_at", "pk")
    )
    for each in rows.iterator():
        entry, who = each.entry, f"subject {each.subject.number}"
        place = f"place {entry.position} of {entry.stratum_key}"
        used[entry.list_id, entry.stratum_key] += 1
        turn = used[entry.list_id, entry.stratum_key]
        if entry.position != turn:
            yield f"{who}: has {place}, {turn} was next"
        known = getattr(each.subject, "randomization", None)
        asked = known.stratum_key if known else ""
        if known is None:
            yield f"{who}: has a place and was not randomized"
        if entry.list.dynamic:
            replay = replays.setdefault(entry.list_id, Replay(entry.list))
            yield from (f"{who}: {fault} of {place}" for fault in replay.faults(each, asked))
        elif known and asked != entry.stratum_key:
            yield f"{who}: was in stratum {asked}, has a place of {entry.stratum_key}"
        elif each.arm != entry.arm:
            yield f"{who}: the arm is not that of {place}"


class Replay:
    """The decisions of one dynamic list, made again one after the other."""

    def __init__(self, made: RandomizationList) -> None:
        design = design_of(made)
        assert isinstance(design.method, Minimization)
        self.method, self.arms = design.method, design.arms
        self.margins: dict[str, list[int]] = {}

    def faults(self, allocation: Allocation, asked: str) -> Iterator[str]:
        """What is wrong with the next decision. `asked`: the stratum key of the randomization."""
        kept = getattr(allocation.entry, "decision", None)
        if allocation.entry.draw is None or kept is None:
            yield "the decision is missing"
            return
        if kept.stratum_key != asked:
            yield "the levels are not those of the randomization"
        none = [0] * len(tracks(self.arms))
        mine = {
            level.split("=")[0]: self.margins.setdefault(level, none.copy())
            for level in asked.split("|")
        }
        again = self.method.decide(self.arms, mine, allocation.entry.draw)
        if (list(again.scores), list(again.weights)) != (kept.scores, kept.weights):
            yield "the scores and weights are not those that follow from the margins"
        if (again.track, again.arm) != (kept.track, allocation.arm):
            yield "the arm is not that which follows from the draw"
        for counts in mine.values():
            counts[again.track] += 1


def _subject_faults(study: Study) -> Iterator[str]:
    without = Randomization.objects.filter(study=study).exclude(
        subject__in=Allocation.objects.values("subject")
    )
    for number in without.values_list("subject__number", flat=True):
        yield f"subject {number}: was randomized and has no place"
