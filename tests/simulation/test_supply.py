"""Kits at centres: against Poisson arrivals, and against events played one by one."""

import heapq
from collections import deque
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from dispensing.unblinded import supply as real
from randomization.simulation import supply
from randomization.simulation.accrual import Accrual, enter
from randomization.simulation.chunk import Streams
from randomization.simulation.rules import Floats, Integers
from randomization.simulation.supply import Supply, arrival_times, measured, supplied

POLICIES = (
    Supply(per_week=30, cohort_size=4),
    Supply(per_week=200, cohort_size=6, restock_at=0, lead_days=3, run_every_days=7),
    Supply(per_week=80, cohort_size=3, restock_at=5, lead_days=0, run_every_days=2),
    Supply(per_week=400, cohort_size=1, restock_at=1, lead_days=10),
    Supply(per_week=50, cohort_size=2, restock_at=2, lead_days=1, run_every_days=3),
)


def entered(policy: Supply, subjects: int, trials: int, centres: int) -> tuple[Floats, Integers]:
    streams = Streams(20261128, 0)
    weights = tuple(float(each) for each in range(1, centres + 1))
    entry = enter(Accrual(subjects, weights), trials, streams.entry)
    return arrival_times(policy, streams.times.random(entry.shape)), entry.centre


@dataclass
class Place:
    """One centre of one trial, played by hand."""

    left: int
    sent: int
    under_way: bool
    waiting: deque[int]


def played(
    policy: Supply, times: list[float], centre: list[int], centres: int
) -> tuple[list[float], list[int], int]:
    """One trial, event by event: waits, cohorts of each centre, and all places left at the end."""
    places = [Place(policy.cohort_size, 1, False, deque()) for _ in range(centres)]
    waits = [0.0] * len(times)
    delivery, coming, run = range(3)  # what comes first at one moment
    events = [(time, coming, who) for who, time in enumerate(times)]
    events.append((float(policy.run_every_days), run, 0))
    heapq.heapify(events)
    while events:
        now, kind, who = heapq.heappop(events)
        if kind == coming:
            places[centre[who]].waiting.append(who)
        elif kind == delivery:
            places[who].left += policy.cohort_size
            places[who].under_way = False
        else:
            closed = now > times[-1]
            for number, place in enumerate(places):
                low = bool(place.waiting) if closed else place.left <= policy.restock_at
                if low and not place.under_way:
                    place.under_way, place.sent = True, place.sent + 1
                    heapq.heappush(events, (now + policy.lead_days, delivery, number))
            if not closed or any(place.waiting for place in places):
                heapq.heappush(events, (now + policy.run_every_days, run, 0))
        for place in places:
            while place.left and place.waiting:
                first = place.waiting.popleft()
                place.left -= 1
                waits[first] = now - times[first]
    return waits, [place.sent for place in places], sum(place.left for place in places)


@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_events_played_one_by_one_give_the_same(policy: Supply) -> None:
    subjects, trials, centres = 60, 12, 4
    times, centre = entered(policy, subjects, trials, centres)
    found = supplied(policy, times, centre, centres)
    for trial in range(trials):
        waits, cohorts, left = played(
            policy, times[:, trial].tolist(), centre[:, trial].tolist(), centres
        )
        assert found.waits[:, trial] == pytest.approx(waits, abs=1e-9)
        assert found.cohorts[trial].tolist() == cohorts
        # What was sent was taken or is left.
        assert sum(cohorts) * policy.cohort_size == subjects + left
    assert found.waits.max() > 0


def test_what_is_kept_is_what_was_played() -> None:
    policy, subjects, trials, centres = POLICIES[0], 60, 12, 4
    times, centre = entered(policy, subjects, trials, centres)
    kept = measured(policy, times, centre, centres)
    every: list[float] = []
    for trial in range(trials):
        of = centre[:, trial].tolist()
        waits, cohorts, _ = played(policy, times[:, trial].tolist(), of, centres)
        met = [each for each in waits if each > 0]
        every += met
        assert kept["waited"][trial] == len(met)
        assert kept["days"][trial] == pytest.approx(sum(waits))
        assert kept["centres"][trial] == len({of[who] for who, each in enumerate(waits) if each})
        assert kept["cohorts"][trial] == sum(cohorts)
    assert sum(kept["waits"].values()) == len(every)
    for days, subjects_ in kept["waits"].items():
        assert subjects_ == sum(int(days) - 1 < each <= int(days) for each in every)


def test_subjects_come_as_a_poisson_process() -> None:
    times, _ = entered(Supply(per_week=14, cohort_size=1), 200, 100, 3)
    gaps = np.diff(times, axis=0, prepend=0)
    assert stats.kstest(gaps.ravel(), stats.expon(scale=0.5).cdf).pvalue > 1e-4
    by_day_50 = (times <= 50).sum(axis=0)
    assert stats.ttest_1samp(by_day_50, 100).pvalue > 1e-4
    assert 0.6 < by_day_50.var() / 100 < 1.5


@pytest.mark.parametrize(("size", "restock_at", "lead"), [(6, 2, 40), (4, 1, 60), (5, 0, 10)])
def test_a_cycle_holds_when_no_more_come_in_the_lead_time_than_places_are_left(
    size: int, restock_at: int, lead: int
) -> None:
    """With one centre, from the moment at which `restock_at` places are left until the cohort is
    there: the rest of that day, which is uniform, and the lead time. Poisson arrivals in it.
    """
    policy = Supply(
        per_week=0.2, cohort_size=size, restock_at=restock_at, lead_days=lead, run_every_days=1
    )
    trials = 6_000
    times, centre = entered(policy, 3 * size, trials, 1)
    waits = supplied(policy, times, centre, 1).waits
    held = int((waits[size] == 0).sum())  # the first subject of the second cohort
    days = lead + (np.arange(1000) + 0.5) / 1000
    expected = float(stats.poisson.cdf(restock_at, 0.2 / 7 * days).mean())
    assert 0.3 < expected < 0.99
    assert stats.binomtest(held, trials, expected).pvalue > 1e-4
    # The band is narrow enough to see one place more or less.
    for other in (restock_at - 1, restock_at + 1):
        wrong = float(stats.poisson.cdf(other, 0.2 / 7 * days).mean())
        assert stats.binomtest(held, trials, wrong).pvalue < 1e-6


def a_course(by_day: list[int]) -> Floats:
    """One trial: so many subjects on each day, spread over it."""
    return np.array(
        [
            [day + (each + 1) / (count + 2)]
            for day, count in enumerate(by_day)
            for each in range(count)
        ]
    )


def test_at_once_and_daily_nobody_waits_unless_more_come_in_a_day_than_a_run_leaves() -> None:
    """After a run at least `restock_at` + 1 places are there, since a cohort has more than these;
    so nobody waits who comes with at most so many on one day.
    """
    policy = Supply(per_week=1, cohort_size=4, restock_at=2, lead_days=0, run_every_days=1)
    few = a_course([3] * 200)
    assert not supplied(policy, few, np.zeros(few.shape, np.int64), 1).waits.any()
    many = a_course([3] * 200 + [5])
    assert supplied(policy, many, np.zeros(many.shape, np.int64), 1).waits.any()
    later = replace(policy, lead_days=1)
    assert supplied(later, few, np.zeros(few.shape, np.int64), 1).waits.any()


@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_slower_vans_and_later_orders_never_shorten_a_wait(policy: Supply) -> None:
    policy = replace(policy, per_week=40)
    times, centre = entered(policy, 120, 30, 5)

    def waits(**changes: int) -> Floats:
        return supplied(replace(policy, **changes), times, centre, 5).waits

    slow = [waits(lead_days=days) for days in (0, 1, 2, 5, 9, 30)]
    assert all((more >= less).all() for less, more in pairwise(slow))
    early = [waits(restock_at=left) for left in (0, 1, 2, 3, 8)]
    assert all((more <= less).all() for less, more in pairwise(early))
    assert slow[-1].sum() > slow[0].sum()
    assert early[-1].sum() < early[0].sum()


def test_a_centre_whose_last_subject_has_come_gets_no_more_in_vain() -> None:
    """Two subjects use the cohort up; the trial's end comes before the next run."""
    policy = Supply(per_week=1, cohort_size=2, restock_at=2, lead_days=5, run_every_days=7)
    times, centre = np.array([[1.0], [2.0]]), np.zeros((2, 1), np.int64)
    assert supplied(policy, times, centre, 2).cohorts.tolist() == [[1, 1]]
    # A third waits for the run of day 7 and the van.
    times, centre = np.array([[1.0], [2.0], [3.0]]), np.zeros((3, 1), np.int64)
    found = supplied(policy, times, centre, 2)
    assert found.waits.ravel().tolist() == [0, 0, 9]
    assert found.cohorts.tolist() == [[2, 1]]


def test_the_defaults_are_those_of_the_real_supply() -> None:
    assert supply.RESTOCK_AT == real.RESTOCK_AT
