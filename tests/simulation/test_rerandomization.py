"""The re-randomization test against exact enumeration of all allocations of a tiny trial."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from scipy import stats

from dsmb.analysis.rerandomization import (
    Again,
    Procedure,
    ProcedureError,
    martingale_residuals,
    rerandomization,
    run_again,
)
from dsmb.analysis.survival import LogRank, logrank
from tests.simulation.play import BIG_STICK, COMPLETE, EFRON, URN

ARMS = (("EXP", 1), ("CTL", 1))
SUBJECTS = tuple(f"S{number}" for number in range(8))
SEX = ("f", "m", "m", "f", "f", "m", "f", "m")
STAGE = ("1", "1", "2", "1", "2", "2", "2", "1")
TIME = [9, 3, 14, 20, 5, 5, 11, 2]
EVENT = [1, 1, 0, 1, 1, 1, 1, 1]
GROUP = [1, 0, 1, 1, 0, 1, 0, 0]
REPEATS = 20_000
BLOCKS = {"method": "permuted-blocks", "block_sizes": [4]}
MINIMIZATION = {
    "method": "minimization", "imbalance": "range", "coin": "3/4", "weights": {"sex": 2},
}  # fmt: skip

Chance = Callable[[list[int], int], Fraction]  # arms so far, subject: chance of arm 0


def by_stratum(rule: Callable[[int, int], Fraction]) -> Chance:
    """A rule on the counts of both arms in the subject's sex."""

    def chance(arms: list[int], place: int) -> Fraction:
        own = [arm for at, arm in enumerate(arms) if SEX[at] == SEX[place]]
        return rule(own.count(0), own.count(1))

    return chance


def minimized(arms: list[int], place: int) -> Fraction:
    """Range, sex twice as heavy as stage, coin 3/4: worked out with two arms by hand."""
    leans = 0
    for weight, levels in ((2, SEX), (1, STAGE)):
        own = [arm for at, arm in enumerate(arms) if levels[at] == levels[place]]
        ahead = own.count(0) - own.count(1)
        leans += weight * (abs(ahead + 1) - abs(ahead - 1))
    return Fraction(1, 2) if leans == 0 else Fraction(3, 4) if leans < 0 else Fraction(1, 4)


def block(first: int, second: int) -> Fraction:
    done = (first + second) // 4 * 2
    left = (2 - (first - done), 2 - (second - done))
    return Fraction(left[0], sum(left))


def coin(first: int, second: int) -> Fraction:
    return Fraction(1, 2) if first == second else Fraction(2 if first < second else 1, 3)


def stick(first: int, second: int) -> Fraction:
    return Fraction(int(first - second < 3), int(first - second < 3) + int(second - first < 3))


CASES = {
    "complete": (COMPLETE, by_stratum(lambda first, second: Fraction(1, 2))),
    "blocks": (BLOCKS, by_stratum(block)),
    "efron": (EFRON, by_stratum(coin)),
    "big stick": (BIG_STICK, by_stratum(stick)),
    "urn": (URN, by_stratum(lambda a, b: Fraction(1 + b, 2 + a + b))),
    "minimization": (MINIMIZATION, minimized),
}


def possible(chance: Chance) -> Iterator[tuple[list[int], Fraction]]:
    """Every list of arms, with its probability under the procedure."""
    for arms in product((0, 1), repeat=len(SUBJECTS)):
        p = Fraction(1)
        for place, arm in enumerate(arms):
            first = chance(list(arms[:place]), place)
            p *= first if arm == 0 else 1 - first
        if p:
            yield list(arms), p


def observed_less_expected(group: list[int]) -> float:
    """By the log-rank test's own counting; no residuals here."""
    found = logrank(TIME, EVENT, group, SEX)
    return found.observed[1] - found.expected[1] if isinstance(found, LogRank) else 0.0


def procedure(method: dict[str, object]) -> Procedure:
    if method["method"] == "minimization":
        levels = tuple(zip(SEX, STAGE, strict=True))
        return Procedure(method, ARMS, "CTL", ("sex", "stage"), SUBJECTS, levels)
    return Procedure(method, ARMS, "CTL", ("sex",), SUBJECTS, tuple((each,) for each in SEX))


@pytest.mark.parametrize("name", CASES)
def test_p_value_is_that_of_all_possible_allocations(name: str) -> None:
    method, chance = CASES[name]
    everything = list(possible(chance))
    assert sum(p for _, p in everything) == 1
    mine = observed_less_expected(GROUP)
    two, one = Fraction(0), Fraction(0)
    for arms, p in everything:
        theirs = observed_less_expected([1 - arm for arm in arms])
        two += p * (abs(theirs) >= abs(mine) - 1e-9)
        one += p * (theirs <= mine + 1e-9)
    again = run_again([procedure(method)], SUBJECTS, repeats=REPEATS, seed=3)
    found = rerandomization(TIME, EVENT, GROUP, SEX, again)
    assert stats.binomtest(found.as_extreme, REPEATS, float(two)).pvalue > 1e-4
    assert stats.binomtest(found.as_good, REPEATS, float(one)).pvalue > 1e-4
    assert found.p_two_sided == (1 + found.as_extreme) / (1 + REPEATS)
    assert found.low < found.as_extreme / REPEATS < found.high
    interval = stats.binomtest(found.as_extreme, REPEATS).proportion_ci()
    assert (found.low, found.high) == pytest.approx(tuple(interval), rel=1e-9)


def test_the_procedure_matters() -> None:
    """Complete randomization in place of the blocks that were used gives another p-value."""
    p = {}
    for name in ("blocks", "complete"):
        again = run_again([procedure(CASES[name][0])], SUBJECTS, repeats=REPEATS)
        p[name] = rerandomization(TIME, EVENT, GROUP, SEX, again).p_two_sided
    assert abs(p["blocks"] - p["complete"]) > 0.005


def test_residuals_sum_to_observed_less_expected() -> None:
    rng = np.random.default_rng(4)
    time, event = rng.integers(1, 60, 300), rng.integers(0, 2, 300)
    group, strata = rng.integers(0, 2, 300), rng.integers(0, 4, 300)
    residuals = martingale_residuals(time, event, strata)
    found = logrank(time, event, group, strata)
    assert isinstance(found, LogRank)
    assert residuals @ group == pytest.approx(found.observed[1] - found.expected[1], abs=1e-9)
    for stratum in range(4):
        assert residuals[strata == stratum].sum() == pytest.approx(0, abs=1e-9)


def test_never_zero_and_one_when_nothing_happened() -> None:
    again = run_again([procedure(BLOCKS)], SUBJECTS, repeats=99)
    nothing = rerandomization(TIME, [0] * 8, GROUP, SEX, again)
    assert (nothing.p_two_sided, nothing.p_one_sided) == (1.0, 1.0)
    best = rerandomization([100 if g else 1 for g in GROUP], [1] * 8, GROUP, ["x"] * 8, again)
    assert (best.as_good, best.p_one_sided) == (0, 0.01)
    # No repeat comes near on either side: without the added one it would be zero.
    never = Again(np.zeros((8, 99), dtype=np.bool_), seed=1)
    least = rerandomization([100 if g else 1 for g in GROUP], [1] * 8, GROUP, ["x"] * 8, never)
    assert (least.as_extreme, least.p_two_sided, least.p_one_sided) == (0, 0.01, 0.01)
    assert (least.low, least.high) == (0, pytest.approx(1 - 0.025 ** (1 / 99)))


def test_same_seed_same_arms_and_two_lists_are_independent() -> None:
    one = procedure(BLOCKS)
    others = tuple(f"T{number}" for number in range(8))
    two = Procedure(BLOCKS, ARMS, "CTL", ("sex",), others, one.levels)
    everybody = (*others, *SUBJECTS)
    first, second = (run_again([one, two], everybody, repeats=3_000) for _ in "ab")
    assert (first.treated == second.treated).all()
    assert not (first.treated[:8] == first.treated[8:]).all()
    alone = run_again([one], SUBJECTS, repeats=3_000)
    assert (alone.treated == first.treated[8:]).all()
    other = run_again([one], SUBJECTS, repeats=3_000, seed=2)
    assert (alone.treated != other.treated).any()


@pytest.mark.parametrize(
    ("procedures", "text"),
    [
        ([procedure(BLOCKS), procedure(BLOCKS)], "subject S0 was randomized twice"),
        ([], "of subject S0 it is not known how it was randomized"),
    ],
)
def test_a_subject_belongs_to_one_procedure(procedures: list[Procedure], text: str) -> None:
    with pytest.raises(ProcedureError, match=text):
        run_again(procedures, SUBJECTS, repeats=5)
