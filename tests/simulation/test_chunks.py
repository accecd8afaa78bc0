"""Chunks: the same numbers whoever makes them, in whatever order; accrual as it was asked for."""

import json
from concurrent.futures import ProcessPoolExecutor

import numpy as np
from scipy import stats

from randomization.simulation.accrual import Accrual, enter
from randomization.simulation.chunk import (
    MOST_PLACES,
    TRIALS,
    VERSION,
    Streams,
    chunks_of,
    trials_in,
)
from randomization.simulation.plan import Contender, Factor, Plan, simulate
from randomization.simulation.supply import Supply
from tests.simulation.play import EVERY_METHOD

ACCRUAL = Accrual(
    subjects=60,
    centre_weights=(3.0, 1.0, 1.0),
    levels=((0.75, 0.25),),
    sites=((0, 1, 1),),
    spread=1.5,
)


PLAN = Plan(
    arms=(("A", 2), ("B", 1)),
    factors=(Factor(name="sex", levels=("f", "m")), Factor(name="country", levels=("DE", "FR"))),
    accrual=ACCRUAL,
    contenders=tuple(
        Contender(label=each["method"], method=each, by=("sex", "country"))
        for each in (*EVERY_METHOD[1:], {"method": "permuted-blocks", "block_sizes": [3, 6]})
    ),
)


def a_chunk(number: int) -> list[dict[str, object]]:
    return simulate(PLAN, seed=11, chunk=number, trials=TRIALS)


def test_another_process_makes_the_same_chunk() -> None:
    with ProcessPoolExecutor(2) as pool:
        backwards = list(pool.map(a_chunk, [2, 1, 0]))
    assert backwards[::-1] == [a_chunk(number) for number in range(3)]
    assert backwards[0] != backwards[1]


def test_a_chunk_is_plain_values_for_every_method_and_all_see_the_same_subjects() -> None:
    chunk = simulate(PLAN, seed=1, chunk=0, trials=50)
    assert json.loads(json.dumps(chunk)) == chunk
    subjects = []
    for found in chunk:
        assert [sum(each) for each in found["counts"]] == [60] * 50
        assert {len(values) for values in found["trials"].values()} == {50}
        assert all(sum(each["imbalance"].values()) == 50 for each in found["strata"])
        assert found["curve"]["after"][-1] == 60
        subjects.append([each["subjects"] for each in found["strata"]])
    assert sum(subjects[0]) == 50 * 60
    assert all(each == subjects[0] for each in subjects)


def test_a_method_added_changes_no_number_of_the_others() -> None:
    fewer = PLAN.model_copy(update={"contenders": PLAN.contenders[2:4]})
    assert (
        simulate(fewer, seed=1, chunk=3, trials=40)
        == simulate(PLAN, seed=1, chunk=3, trials=40)[2:4]
    )


def test_version_1_gives_the_numbers_that_it_always_gave() -> None:
    """What changes a number is a new VERSION: then an old run is known not to be repeatable."""
    assert VERSION == "simulation/1"
    chunk = simulate(PLAN, seed=20261128, chunk=2, trials=4)
    assert [[counts[0] for counts in found["counts"]] for found in chunk] == [
        [43, 41, 41, 46], [41, 41, 41, 42], [41, 40, 42, 42],
        [40, 42, 39, 44], [40, 40, 41, 39], [39, 40, 41, 39],
    ]  # fmt: skip
    assert chunk[0]["strata"][0]["subjects"] == 71


def test_kits_are_measured_once_and_change_no_other_number() -> None:
    supplied = PLAN.model_copy(update={"supply": Supply(per_week=9, cohort_size=4)})
    plain = simulate(PLAN, seed=20261128, chunk=2, trials=40)
    first, *others = simulate(supplied, seed=20261128, chunk=2, trials=40)
    kits = first.pop("supply")
    assert [first, *others] == plain
    assert sum(kits["waited"]) == sum(kits["waits"].values()) > 0
    assert {len(kits[each]) for each in ("waited", "days", "centres", "cohorts")} == {40}
    fewer = supplied.model_copy(update={"contenders": PLAN.contenders[3:4]})
    assert simulate(fewer, seed=20261128, chunk=2, trials=40)[0]["supply"] == kits


def test_a_plan_comes_back_from_json() -> None:
    assert Plan.from_json(json.loads(json.dumps(PLAN.as_json()))) == PLAN
    more = PLAN.model_copy(update={"supply": Supply(9.5, 4, 1, 0, 7), "closed": ("C",)})
    assert Plan.from_json(json.loads(json.dumps(more.as_json()))) == more
    assert PLAN.stratum_names() == [
        "sex=f|country=DE", "sex=f|country=FR", "sex=m|country=DE", "sex=m|country=FR",
    ]  # fmt: skip


def test_a_method_looks_only_at_the_factors_it_is_given() -> None:
    """Blocks without strata are in balance as a whole; blocks in four strata need not be."""
    blocks = {"method": "permuted-blocks", "block_sizes": [3]}
    plain, stratified = simulate(
        PLAN.model_copy(
            update={
                "contenders": (
                    Contender(label="whole", method=blocks, by=()),
                    Contender(label="strata", method=blocks, by=("sex", "country")),
                )
            }
        ),
        seed=2,
        chunk=0,
        trials=100,
    )
    assert max(plain["trials"]["imbalance_end"]) == 0
    assert max(stratified["trials"]["imbalance_end"]) > 0
    assert max(stratified["trials"]["stratum_end"]) <= 2 < max(plain["trials"]["stratum_end"])


def test_chunks_add_up_to_the_run() -> None:
    for trials in (1, TRIALS, TRIALS + 1, 10_000):
        for subjects in (2, 724, 5_000, 1_000_000):
            sizes = [
                trials_in(each, trials, subjects) for each in range(chunks_of(trials, subjects))
            ]
            assert sum(sizes) == trials
            assert min(sizes) > 0
            assert max(sizes) <= TRIALS
            assert max(sizes) * subjects <= MOST_PLACES or max(sizes) == 1


def test_subjects_come_by_the_weights() -> None:
    entry = enter(ACCRUAL, 2_000, Streams(3, 0).entry)
    first = entry.levels[0] == 0
    assert stats.binomtest(int(first.sum()), first.size, 0.75).pvalue > 1e-4
    assert (entry.levels[1] == np.array([0, 1, 1])[entry.centre]).all()
    # Gamma rates keep the mean of the weights, and spread the trials more than a binomial would.
    shares = (entry.centre == 0).mean(axis=0)
    assert shares.std() > 3 * np.sqrt(0.6 * 0.4 / 60)
    even = enter(Accrual(60, (3.0, 1.0, 1.0)), 2_000, Streams(3, 0).entry)
    steady = even.centre == 0
    assert stats.binomtest(int(steady.sum()), steady.size, 0.6).pvalue > 1e-4
    assert even.strata == 1
