"""Chunks: the same numbers whoever makes them, in whatever order; accrual as it was asked for."""

from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest
from scipy import stats

from randomization.simulation.accrual import Accrual, enter
from randomization.simulation.chunk import TRIALS, chunks_of, simulate, stream, trials_in
from tests.simulation.play import EFRON, EVERY_METHOD, MINIMIZATION, TWO_TO_ONE

ACCRUAL = Accrual(
    subjects=60,
    centre_weights=(3.0, 1.0, 1.0),
    levels=((0.75, 0.25),),
    sites=((0, 1, 1),),
    spread=1.5,
)


def a_chunk(number: int) -> dict[str, object]:
    return simulate(MINIMIZATION, TWO_TO_ONE, ACCRUAL, seed=11, chunk=number, trials=TRIALS)


def test_another_process_makes_the_same_chunk() -> None:
    with ProcessPoolExecutor(2) as pool:
        backwards = list(pool.map(a_chunk, [2, 1, 0]))
    assert backwards[::-1] == [a_chunk(number) for number in range(3)]
    assert backwards[0] != backwards[1]


@pytest.mark.parametrize("method", EVERY_METHOD, ids=lambda each: each["method"])
def test_a_chunk_is_plain_values_for_every_method(method: dict[str, object]) -> None:
    if method["method"] == "permuted-blocks":
        method = method | {"block_sizes": [3, 6]}
    found = simulate(method, TWO_TO_ONE, ACCRUAL, seed=1, chunk=0, trials=50)
    assert [sum(each) for each in found["counts"]] == [60] * 50
    assert {len(values) for values in found["trials"].values()} == {50}
    assert sum(each["subjects"] for each in found["strata"]) == 50 * 60
    assert all(sum(each["imbalance"].values()) == 50 for each in found["strata"])
    assert found["curve"]["after"][-1] == 60


def test_methods_see_the_same_subjects() -> None:
    strata = [
        simulate(method, TWO_TO_ONE, ACCRUAL, seed=4, chunk=1, trials=80)["strata"]
        for method in (EFRON, MINIMIZATION)
    ]
    one, other = ([each["subjects"] for each in found] for found in strata)
    assert one == other


def test_chunks_add_up_to_the_run() -> None:
    for trials in (1, TRIALS, TRIALS + 1, 10_000):
        chunks = chunks_of(trials)
        assert sum(trials_in(each, trials) for each in range(chunks)) == trials


def test_subjects_come_by_the_weights() -> None:
    entry = enter(ACCRUAL, 2_000, stream(3, 0, 0))
    first = entry.levels[0] == 0
    assert stats.binomtest(int(first.sum()), first.size, 0.75).pvalue > 1e-4
    assert (entry.levels[1] == np.array([0, 1, 1])[entry.centre]).all()
    # Gamma rates keep the mean of the weights, and spread the trials more than a binomial would.
    shares = (entry.centre == 0).mean(axis=0)
    assert shares.std() > 3 * np.sqrt(0.6 * 0.4 / 60)
    even = enter(Accrual(60, (3.0, 1.0, 1.0)), 2_000, stream(3, 0, 0))
    steady = even.centre == 0
    assert stats.binomtest(int(steady.sum()), steady.size, 0.6).pvalue > 1e-4
    assert even.strata == 1
