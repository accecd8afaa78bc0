"""How well an adversary guesses the arm from everything blinded: not at all.

The seeds were written down before the first run. With a planted leak the same adversary sees it.
"""

import pytest

from tests.blinding import adversary, leaks_of_acts
from tests.bootstrap import DATABASE

pytestmark = [
    pytest.mark.requirement("REQ-043", "REQ-053", "REQ-055"),
    pytest.mark.usefixtures("committed_db"),
]


def test_each_replicate_has_a_seed_of_its_own() -> None:
    assert len(set(adversary.SEEDS)) == len(adversary.SEEDS) == 64


@pytest.mark.slow
def test_a_few_replicates_tell_nothing_and_a_planted_leak_is_seen() -> None:
    """The quick version: its interval is wide, but unshuffled kits are far outside of it."""
    first, last = adversary.SEEDS[:6], adversary.SEEDS[-6:]
    honest = adversary.score(adversary.sample(DATABASE, seeds=first, subjects=24))
    told = adversary.score(
        adversary.sample(DATABASE, seeds=last, subjects=24, plant=leaks_of_acts.unshuffled)
    )
    assert honest.low < 0.5 < honest.high
    assert told.auc > 0.9
    assert told.low > honest.high


@pytest.mark.slow
def test_the_adversary_guesses_no_better_than_a_coin() -> None:
    """The pooled 99% interval contains 0.5 and is narrower than plus or minus 0.02."""
    found = adversary.score(adversary.sample(DATABASE, seeds=adversary.SEEDS, subjects=160))
    print(f"\nAUC {found.auc:.4f}, 99% interval {found.low:.4f} to {found.high:.4f},", end=" ")
    print(f"{found.subjects} subjects in {found.replicates} replicates")
    assert found.half_width < 0.02
    assert found.low < 0.5 < found.high


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["visit kits of one arm are sent a week later", "kits of one arm expire later"]
)
def test_a_planted_leak_raises_the_score(name: str) -> None:
    found = adversary.score(
        adversary.sample(
            DATABASE,
            seeds=adversary.SEEDS[-10:],
            subjects=60,
            plant=leaks_of_acts.PLAYING[name],
        )
    )
    print(f"\n{name}: AUC {found.auc:.4f}, 99% interval {found.low:.4f} to {found.high:.4f}")
    assert found.low > 0.6
