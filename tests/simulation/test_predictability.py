"""What can be guessed: closed forms and exact enumeration, never a number from a run."""

from itertools import combinations
from math import comb

import numpy as np
import pytest

from randomization.simulation.measures import Predicted, before, guesses
from randomization.simulation.measures import predicted as predicted_from
from randomization.simulation.rules import Integers
from tests.simulation.play import COMPLETE, ONE_TO_ONE, TWO_TO_ONE, one_stratum, play

TRIALS = 8_000


def predicted(groups: Integers, arms: Integers, ratio: tuple[int, ...]) -> Predicted:
    """Guesses of somebody who sees the own group."""
    return predicted_from(before(groups, arms, len(ratio)), arms, ratio)


@pytest.mark.parametrize("half", [1, 2, 3, 5])
def test_blackwell_and_hodges_expectation_for_blocks(half: int) -> None:
    """A block of 2m: m + 2^(2m-1) / C(2m, m) - 1/2 correct guesses expected."""
    size = 2 * half
    expected = (half + 2 ** (size - 1) / comb(size, half) - 0.5) / size
    method = {"method": "permuted-blocks", "block_sizes": [size]}
    entry = one_stratum(3 * size, TRIALS)
    correct = predicted(entry.stratum, play(method, ONE_TO_ONE, entry).arms, ONE_TO_ONE).correct
    if half == 1:  # the second of each pair is certain, the first a coin
        assert (correct == 0.75).all()
    else:
        assert abs(correct.mean() - expected) < 4 * correct.std() / np.sqrt(TRIALS)


# Of a 2:1 block of 3m, by enumeration in fractions: convergence strategy, best guess, certain.
TWO_TO_ONE_BLOCKS = {
    3: (7 / 9, 7 / 9, 4 / 9),
    6: (13 / 18, 67 / 90, 13 / 45),
    9: (0.691798941798942, 275 / 378, 3 / 14),
}


@pytest.mark.parametrize("size", TWO_TO_ONE_BLOCKS)
def test_what_is_guessed_of_blocks_at_two_to_one(size: int) -> None:
    convergence, best, certain = TWO_TO_ONE_BLOCKS[size]
    method = {"method": "permuted-blocks", "block_sizes": [size]}
    entry = one_stratum(size, TRIALS)
    allocated = play(method, TWO_TO_ONE, entry)
    found = predicted(entry.stratum, allocated.arms, TWO_TO_ONE).correct
    assert abs(found.mean() - convergence) < 4 * found.std() / np.sqrt(TRIALS)
    chance = allocated.best_chance
    assert abs(chance.mean() - best) < 4 * chance.mean(axis=0).std() / np.sqrt(TRIALS) + 1e-9
    sure = (chance == 1).mean(axis=0)
    assert abs(sure.mean() - certain) < 4 * sure.std() / np.sqrt(TRIALS) + 1e-9


def test_guesses_over_all_orders_of_a_block_exactly() -> None:
    """All 15 orders of a 2:1 block of 6 at once, as 15 trials: exactly 13/18."""
    orders = [
        [1 if each in places else 0 for each in range(6)] for places in combinations(range(6), 2)
    ]
    arms = np.array(orders).T
    found = predicted(np.zeros_like(arms), arms, TWO_TO_ONE)
    assert found.correct.mean() == pytest.approx(13 / 18, abs=1e-12)


def test_complete_randomization_cannot_be_guessed() -> None:
    entry = one_stratum(100, TRIALS)
    seen = predicted(entry.stratum, play(COMPLETE, ONE_TO_ONE, entry).arms, ONE_TO_ONE)
    assert abs(seen.correct.mean() - 0.5) < 4 * seen.correct.std() / np.sqrt(TRIALS)
    assert abs(seen.bias.mean()) < 4 * seen.bias.std() / np.sqrt(TRIALS)
    assert seen.bias == pytest.approx(4 * (seen.correct - 0.5), abs=1e-12)


def test_bias_of_blocks_of_two_is_the_closed_form() -> None:
    """The second of each pair is known and shifted by its own arm: (n / 2) / (n / 2) = 1."""
    entry = one_stratum(40, 200)
    method = {"method": "permuted-blocks", "block_sizes": [2]}
    seen = predicted(entry.stratum, play(method, ONE_TO_ONE, entry).arms, ONE_TO_ONE)
    assert seen.bias == pytest.approx(1, abs=1e-12)


def test_who_sees_one_centre_guesses_worse_than_who_sees_the_stratum() -> None:
    entry = one_stratum(120, 2_000)
    arms = play({"method": "permuted-blocks", "block_sizes": [4]}, ONE_TO_ONE, entry).arms
    centres = np.random.default_rng(2).integers(0, 30, entry.shape)
    stratum, centre = (predicted(each, arms, ONE_TO_ONE) for each in (entry.stratum, centres))
    assert stratum.correct.mean() > 0.70  # 17/24 in theory
    assert centre.correct.mean() < 0.56
    assert centre.bias.mean() < stratum.bias.mean() / 5


def test_the_guess_prefers_the_larger_arm_when_both_are_as_far_below() -> None:
    nothing_seen = np.zeros((1, 1, 2), np.int64)
    assert guesses(nothing_seen, TWO_TO_ONE).tolist() == [[[1.0, 0.0]]]
    assert guesses(nothing_seen, ONE_TO_ONE).tolist() == [[[0.5, 0.5]]]
    ahead = np.array([[[3, 0]]])
    assert guesses(ahead, TWO_TO_ONE).tolist() == [[[0.0, 1.0]]]
