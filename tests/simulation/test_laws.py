"""Each method against the law that theory gives it. No number here comes from a run.

Seeds are fixed; a right program would fail a test with another seed about once in 10,000.
"""

from collections import Counter
from itertools import permutations
from math import comb

import numpy as np
import pytest
from scipy import stats

from randomization.simulation.engine import allocate
from randomization.simulation.measures import before, imbalance, lost, with_own
from randomization.simulation.rules import Integers
from tests.simulation.play import (
    BIG_STICK,
    COMPLETE,
    EFRON,
    EVERY_METHOD,
    ONE_TO_ONE,
    TWO_TO_ONE,
    URN,
    difference,
    one_stratum,
    play,
    two_factors,
)

RARE = 1e-4
TRIALS = 8_000


def p_of_law(found: Integers, law: dict[int, float]) -> float:
    """Chi-squared of the values found against their probabilities; rare values go together."""
    times = Counter(found.tolist())
    assert set(times) <= set(law), "a value that cannot be"
    common = [value for value, chance in law.items() if chance * len(found) >= 10]
    observed = [times[value] for value in common]
    expected = [law[value] * len(found) for value in common]
    rest = sum(law.values()) - sum(law[value] for value in common)
    if rest * len(found) >= 5:
        observed, expected = [*observed, len(found) - sum(observed)], [*expected, rest * len(found)]
    scale = sum(observed) / sum(expected)
    assert stats.norm.sf(abs(scale - 1) * np.sqrt(len(found))) > RARE
    return float(stats.chisquare(observed, [each * scale for each in expected]).pvalue)


def test_complete_randomization_is_binomial() -> None:
    arms = play(COMPLETE, TWO_TO_ONE, one_stratum(60, TRIALS)).arms
    law = {n: float(stats.binom.pmf(n, 60, 2 / 3)) for n in range(61)}
    assert p_of_law((arms == 0).sum(axis=0), law) > RARE
    wrong = {n: float(stats.binom.pmf(n, 60, 0.65)) for n in range(61)}
    assert p_of_law((arms == 0).sum(axis=0), wrong) < RARE


def efron_law(favour: int, against: int, most: int) -> dict[int, float]:
    """|D| after an even number of subjects, in the long run (Efron 1971, with r = p / q)."""
    r = favour / against
    return {0: (r - 1) / r} | {2 * j: (r**2 - 1) / r ** (2 * j + 1) for j in range(1, most)}


@pytest.mark.parametrize(("coin", "odds"), [("2/3", (2, 1)), ("0.75", (3, 1))])
def test_efrons_coin_is_stationary_as_efron_found(coin: str, odds: tuple[int, int]) -> None:
    away = np.abs(
        difference(play(EFRON | {"coin": coin}, ONE_TO_ONE, one_stratum(120, TRIALS)).arms)
    )
    assert p_of_law(away, efron_law(*odds, most=100)) > RARE
    assert p_of_law(away, efron_law(odds[0] + 1, odds[1] + 1, most=100)) < RARE


@pytest.mark.parametrize("bound", [2, 3, 5])
def test_big_stick_is_a_reflected_walk(bound: int) -> None:
    """Inside the bound 1/b, on it half of that, of the values that an even number can give."""
    method = BIG_STICK | {"bound": bound}
    found = difference(play(method, ONE_TO_ONE, one_stratum(100, TRIALS)).arms)
    even = [value for value in range(-bound, bound + 1) if value % 2 == 0]
    law = {value: (0.5 if abs(value) == bound else 1) / bound for value in even}
    assert sum(law.values()) == pytest.approx(1)
    assert p_of_law(found, law) > RARE


@pytest.mark.parametrize(("start", "added"), [(1, 1), (0, 1), (1, 3), (5, 0)])
def test_weis_urn_has_the_variance_of_its_recursion(start: int, added: int) -> None:
    """E D'^2 = 1 + E D^2 (1 - 2 beta / (2 alpha + beta n)); in the long run n / 3."""
    subjects = 200
    expected = 0.0
    for n in range(subjects):
        balls = 2 * start + added * n
        expected = 1 + expected * (1 - (2 * added / balls if balls else 0))
    method = URN | {"start": start, "added": added}
    squares = difference(play(method, ONE_TO_ONE, one_stratum(subjects, TRIALS)).arms) ** 2.0
    error = squares.std() / np.sqrt(TRIALS)
    assert abs(squares.mean() - expected) < 4 * error
    if added:
        assert expected == pytest.approx(subjects / 3, rel=0.02 * (1 + start))


def test_every_order_of_a_block_is_as_likely() -> None:
    """Fifteen orders of a 2:1 block of six; twin: weights that forget one track fail."""
    entry = one_stratum(6, TRIALS)
    arms = play({"method": "permuted-blocks", "block_sizes": [6]}, TWO_TO_ONE, entry).arms
    orders = dict.fromkeys(set(permutations((0, 0, 0, 0, 1, 1))), 1 / 15)
    assert len(orders) == comb(6, 2)
    found = Counter(map(tuple, arms.T.tolist()))
    assert set(found) == set(orders)
    assert stats.chisquare([found[order] for order in orders]).pvalue > RARE


def test_blocks_of_random_sizes_have_each_size_as_often() -> None:
    entry = one_stratum(6, TRIALS)
    method = {"method": "permuted-blocks", "block_sizes": [6, 3]}
    arms = play(method, TWO_TO_ONE, entry).arms
    # After three: a block of 3 is balanced for certain, one of 6 with C(4,2) C(2,1) / C(6,3).
    balanced = int(((arms[:3] == 0).sum(axis=0) == 2).sum())
    chance = 0.5 + 0.5 * comb(4, 2) * comb(2, 1) / comb(6, 3)
    assert stats.binomtest(balanced, TRIALS, chance).pvalue > RARE


@pytest.mark.parametrize(
    ("ratio", "times"), [((1, 1), 1), ((1, 1), 4), ((2, 1), 3), ((3, 2, 1), 2), ((1, 1, 1), 2)]
)
def test_blocks_stay_within_their_bound_and_reach_it(ratio: tuple[int, ...], times: int) -> None:
    """An arm of share r of R is at most m r (1 - r / R) from its share: in parts, m r (R - r)."""
    total = sum(ratio)
    method = {"method": "permuted-blocks", "block_sizes": [times * total]}
    entry = one_stratum(4 * times * total, 5_000)
    arms = play(method, ratio, entry).arms
    counts = with_own(before(entry.stratum, arms, len(ratio)), arms)
    along = imbalance(counts, ratio)
    assert along.max() == max(times * share * (total - share) for share in ratio)
    assert (along[times * total - 1 :: times * total] == 0).all()


@pytest.mark.parametrize("ratio", [(1, 1), (2, 1), (1, 2, 3), (4, 2)])
@pytest.mark.parametrize("method", EVERY_METHOD, ids=lambda each: each["method"])
def test_every_subject_gets_each_arm_with_the_ratios_chance(
    method: dict[str, object], ratio: tuple[int, ...]
) -> None:
    if method["method"] == "permuted-blocks":
        method = method | {"block_sizes": [12]}
    arms = play(method, ratio, two_factors(20, TRIALS, seed=3)).arms
    for arm, share in enumerate(ratio):
        for place in range(20):
            found = int((arms[place] == arm).sum())
            p = stats.binomtest(found, TRIALS, share / sum(ratio)).pvalue
            assert p > RARE / 20, (arm, place, found)


def test_naive_minimization_breaks_the_ratio() -> None:
    """The known failure: counts divided by the ratio, the best arm with the coin (2:1, 4/5)."""
    rng = np.random.default_rng(5)
    counts = np.zeros((TRIALS, 2))
    first = np.empty((20, TRIALS))
    for place in range(20):
        ranges = np.stack(
            [
                np.abs((counts[:, 0] + 1) / 2 - counts[:, 1]),
                np.abs(counts[:, 0] / 2 - counts[:, 1] - 1),
            ]
        )
        chance = np.where(ranges[0] < ranges[1], 0.8, np.where(ranges[0] > ranges[1], 0.2, 2 / 3))
        taken = (rng.random(TRIALS) >= chance).astype(int)
        counts[np.arange(TRIALS), taken] += 1
        first[place] = taken == 0
    failures = [
        stats.binomtest(int(found), TRIALS, 2 / 3).pvalue < RARE / 20 for found in first.sum(axis=1)
    ]
    assert sum(failures) > 10


@pytest.mark.parametrize("ratio", [(1, 1), (2, 1)])
def test_complete_randomization_loses_one_subject_for_each_parameter(
    ratio: tuple[int, int],
) -> None:
    """E L = number of columns of the model without the arm: here 1 + 1 + 2 (Atkinson)."""
    entry = two_factors(100, TRIALS, seed=7)
    loss = lost(entry, play(COMPLETE, ratio, entry).arms, ratio)
    assert abs(loss.mean() - 4) < 4 * loss.std() / np.sqrt(TRIALS)


def test_a_trial_in_balance_everywhere_loses_nothing() -> None:
    entry = two_factors(1, 1, seed=1)
    levels = tuple(np.repeat(np.indices((2, 3))[f].ravel(), 6)[:, None] for f in range(2))
    entry = type(entry)(levels, (2, 3), np.zeros((36, 1), np.int64), 1)
    arms = np.tile([0, 0, 1], 12)[:, None]
    assert lost(entry, arms, (2, 1))[0] == pytest.approx(0, abs=1e-9)
    three = np.tile([0, 1, 1, 2, 2, 2], 6)[:, None]
    assert lost(entry, three, (1, 2, 3))[0] == pytest.approx(0, abs=1e-9)
    assert lost(entry, np.sort(arms, axis=0), (2, 1))[0] > 10


def test_the_largest_draw_still_names_a_track() -> None:
    entry = one_stratum(50, 1)
    top = np.full(entry.shape, 1 - 2.0**-53)
    for method in EVERY_METHOD[:-1]:
        assert allocate(method, (1, 1, 1, 1), entry, top, top).arms.max() <= 3
