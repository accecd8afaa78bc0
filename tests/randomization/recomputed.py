"""What a dynamic list decided, worked out again from its draws and the subjects' levels alone."""

from iwrs.definition import levels_in
from iwrs.models import Study
from randomization.methods import Minimization, from_json, tracks
from randomization.unblinded.models import Allocation, Margin, RandomizationList
from tests.roles import as_unblinded


def decided_again(study: Study) -> int:
    """Compare every decision of the study's list with Python's; how many there were."""
    with as_unblinded():
        made = RandomizationList.objects.get(study=study, status="active")
        method = from_json(made.design)
        assert isinstance(method, Minimization)
        arms = tuple((code, ratio) for code, ratio in made.design["arms"])
        rows = list(
            Allocation.objects.filter(entry__list=made)
            .select_related("entry__decision")
            .order_by("entry__position")
        )
        kept = {
            (each.factor, each.level, each.position): each.counts
            for each in Margin.objects.filter(list=made)
        }
    margins: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        decision = row.entry.decision
        mine = {
            factor: margins.setdefault((factor, level), [0] * len(tracks(arms)))
            for factor, level in levels_in(decision.stratum_key).items()
        }
        again = method.decide(arms, mine, row.entry.draw)
        assert list(again.scores) == decision.scores
        assert list(again.weights) == decision.weights
        assert (again.track, again.arm) == (decision.track, row.arm)
        for factor, counts in mine.items():
            counts[again.track] += 1
            level = levels_in(decision.stratum_key)[factor]
            assert kept.pop((factor, level, row.entry.position)) == counts
    assert not kept
    return len(rows)
