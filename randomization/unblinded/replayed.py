"""Allocations made again one after the other: which place was next, and what a method decides."""

from collections import Counter
from collections.abc import Iterator

from iwrs.models import Study
from randomization.methods import Minimization, tracks
from randomization.unblinded.forced import told_places
from randomization.unblinded.models import Allocation, RandomizationList
from randomization.unblinded.parts import design_of


class Turns:
    """Which place of a stratum is the next one, told places apart."""

    def __init__(self, study: Study) -> None:
        self.used: Counter[tuple[int, str]] = Counter()
        self.taken: set[int] = set()
        self.told = {each.subject_id: each for each in told_places(study)}
        first = {each.told_entry_id: each.forced_at for each in reversed(self.told.values())}
        self.kept = {
            (entry.list_id, entry.stratum_key, entry.position): first[entry.pk]
            for each in self.told.values()
            if (entry := each.told_entry)
        }

    def missed(self, allocation: Allocation) -> int | None:
        """The position that the subject should have; None when it is the one that was next.

        Call it in the order of the allocations. The told place, if it is of this list and stratum
        and was free; else the first after the last one in turn that was not told to somebody.
        """
        entry, told = allocation.entry, self.told.get(allocation.subject_id)
        wanted = told.told_entry if told else None
        at = (entry.list_id, entry.stratum_key)
        free = wanted is not None and wanted.pk not in self.taken
        self.taken.add(entry.pk)
        if wanted and free and (wanted.list_id, wanted.stratum_key) == at:
            return wanted.position if entry.pk != wanted.pk else None
        turn = self.used[at] + 1
        while self.kept.get((*at, turn), allocation.allocated_at) < allocation.allocated_at:
            turn += 1
        self.used[at] = entry.position
        return turn if entry.position != turn else None


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
