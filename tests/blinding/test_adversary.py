"""How well an adversary guesses the arm from everything blinded: not at all.

The seeds were written down before the first run. With a planted leak the same adversary sees it.
"""

import numpy as np
import pytest

from tests.blinding import adversary, coupled, leaks_of_acts
from tests.bootstrap import DATABASE

pytestmark = [
    pytest.mark.requirement("REQ-043", "REQ-053", "REQ-055"),
    pytest.mark.usefixtures("committed_db"),
]


def test_each_replicate_has_a_seed_of_its_own() -> None:
    assert len(set(adversary.SEEDS)) == len(adversary.SEEDS) == 64


# What an honest play hardly moves, kept because a leak could move it.
CONSTANT = {
    "lines ": "a kit is sent once and assigned once; a line of history more would be a leak",
    "cohort_size of kit 0": "all cohorts have one size, and each first kit is of a cohort",
    "since_last of kit 1": "where no supply comes between, one assignment is one line of history",
}


def test_each_feature_measures_what_it_says() -> None:
    """Boxes and cohorts as the adversary sees them are those that were sent; no feature is idle."""
    study = adversary.a_replicate(adversary.SEEDS[0], subjects=60)
    names, seen = adversary.features(DATABASE, study)
    values = np.array(list(seen.values()))
    assert values.shape == (60, 131)  # as docs/blinding.md says
    assert len(set(names)) == 131
    assert np.isfinite(values).all()
    idle = {name for name, column in zip(names, values.T, strict=True) if np.ptp(column) == 0}
    assert not {name for name in idle if not name.startswith(tuple(CONSTANT))}

    with coupled.login("owner", DATABASE) as owner:
        asked = {"study": study.pk, "arms": len(study.definition.arms)}
        kits = owner.execute(
            f"{adversary.KIT} SELECT k.run, k.centre_id, k.cover, k.cohort, c.cohort_id, v.sent_at"
            " FROM kit k LEFT JOIN unblinded.cover_kit c ON c.kit_id = k.id"
            " LEFT JOIN unblinded.visit_kit v ON v.kit_id = k.id WHERE k.came IS NOT NULL",
            asked,
        ).fetchall()
    for run, _, cover, box_cohort, true_cohort, visit in kits:
        assert run is not None
        assert cover == (true_cohort is not None) == (visit is None)
        assert true_cohort in (box_cohort, None)
    boxes = {(run, centre) for run, centre, *_ in kits}
    visits = {(sent, centre) for _, centre, _, _, _, sent in kits if sent}
    cohorts = {true_cohort for *_, true_cohort, _ in kits} - {None}
    centres = {centre for _, centre in boxes}
    assert len(boxes) >= max(len(cohorts), len(visits)) > len(centres) == 6
    with_cover = {(run, centre) for run, centre, cover, *_ in kits if cover}
    assert with_cover & {(run, centre) for run, centre, cover, *_ in kits if not cover}


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
    "plant",
    [leaks_of_acts.order_in_boxes, leaks_of_acts.numbers_in_boxes],
    ids=lambda p: p.__name__,
)
def test_a_leak_inside_boxes_is_seen(plant: adversary.Plant) -> None:
    """Over a whole run or delivery both tell little or nothing."""
    found = adversary.score(
        adversary.sample(DATABASE, seeds=adversary.SEEDS[-6:], subjects=60, plant=plant)
    )
    print(f"\nAUC {found.auc:.4f}, 99% interval {found.low:.4f} to {found.high:.4f}")
    assert found.low > 0.9


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
