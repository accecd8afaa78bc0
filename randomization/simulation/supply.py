"""Kits at centres in simulated trials: who comes to a centre that has no place left, and waits.

A *place* serves one randomization whatever the arm: it is one kit of every arm (docs/glossary.md).
So what happens depends on when subjects come and where, never on the method that allocates them.
Days are counted from the first day of accrual.

The subjects of a centre take its places in their order, so the whole course of a centre follows
from its cohorts one after the other: the first run that finds none under way, and m cohorts used up
but for `restock_at` places, sends one more, and that serves the subjects m * cohort_size + 1 to
(m + 1) * cohort_size of the centre.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from randomization.simulation.rules import Floats, Integers

RESTOCK_AT = 2  # as in dispensing.unblinded.supply, which is above this room; a test compares them
RUN_EVERY_DAYS = 1  # the system's own rhythm
LEAD_DAYS = 7
DAYS_OF_A_WEEK = 7


@dataclass(frozen=True)
class Supply:
    """How fast subjects come, and how centres are supplied.

    per_week: subjects a week, of all centres together. cohort_size: places of a cohort.
    restock_at: places left at which the next one is sent. lead_days: from the run that sends it
    until it is there. run_every_days: days from a run to the next; the first is so many days after
    accrual began, when each centre had one cohort.
    """

    per_week: float
    cohort_size: int
    restock_at: int = RESTOCK_AT
    lead_days: int = LEAD_DAYS
    run_every_days: int = RUN_EVERY_DAYS


@dataclass(frozen=True)
class Supplied:
    """Days that each subject waited for a place, and cohorts of each trial and centre, the first
    one counted.
    """

    waits: Floats
    cohorts: Integers


@dataclass(frozen=True)
class _Pairs:
    """The subjects of each pair of a trial and a centre, in their order, one pair after the other.

    times: of all subjects. subject: where each is in the arrays by subject and trial. first: where
    the pair begins in `times`; counts: how many it has. last: when its trial's last subject came.
    """

    times: Floats
    subject: Integers
    first: Integers
    counts: Integers
    last: Floats


def arrival_times(supply: Supply, draws: Floats) -> Floats:
    """The day on which each subject comes: a Poisson process, by inversion of uniform draws."""
    gaps = -np.log1p(-draws) * (DAYS_OF_A_WEEK / supply.per_week)
    days: Floats = np.cumsum(gaps, axis=0)
    return days


def supplied(supply: Supply, times: Floats, centre: Integers, centres: int) -> Supplied:
    """Supply many trials. times, centre: one row for each subject in the order of entry.

    Once the last subject has come, only centres where somebody waits get more.
    """
    pairs = _pairs(times, centre, centres)
    size = supply.cohort_size
    between = max(supply.lead_days, supply.run_every_days)
    there = np.zeros(times.size)  # when the subject's cohort came; the first is there from day 0
    cohorts = np.ones(len(pairs.counts), np.int64)
    active, number = np.arange(len(pairs.counts)), 1
    sent = np.full(len(pairs.counts), float(supply.run_every_days - between))  # none is under way
    while len(active):
        due = number * size - supply.restock_at  # the subject whose coming makes another cohort due
        enough = pairs.counts[active] >= due
        active, sent = active[enough], sent[enough]
        came = pairs.times[pairs.first[active] + due - 1] if due > 0 else 0.0
        # Of whole days, so that the next run is found exactly.
        run = np.ceil(np.maximum(sent + between, came) / supply.run_every_days)
        run *= supply.run_every_days
        goes = (run <= pairs.last[active]) | (pairs.counts[active] > number * size)
        active, sent = active[goes], run[goes]
        cohorts[active] += 1
        _serve(there, pairs, active, sent + supply.lead_days, number * size, size)
        number += 1
    waits = np.empty(times.size)
    waits[pairs.subject] = np.maximum(there - pairs.times, 0.0)
    return Supplied(waits.reshape(times.shape), cohorts.reshape(-1, centres))


def measured(supply: Supply, times: Floats, centre: Integers, centres: int) -> dict[str, Any]:
    """What was measured, ready to be kept as JSON.

    By trial: `waited`, subjects who met a stock-out; `days`, the sum of their waiting; `centres`
    with at least one; `cohorts` sent. `waits`: how many subjects waited so many days begun.
    """
    found = supplied(supply, times, centre, centres)
    met = found.waits > 0
    _, trials = times.shape
    pair = np.arange(trials) * centres + centre
    hit = np.bincount(pair[met], minlength=trials * centres).reshape(trials, centres) > 0
    begun = Counter(ceil(each) for each in found.waits[met].tolist())
    return {
        "waited": met.sum(axis=0).tolist(),
        "days": [float(f"{each:.10g}") for each in found.waits.sum(axis=0)],
        "centres": hit.sum(axis=1).tolist(),
        "cohorts": found.cohorts.sum(axis=1).tolist(),
        "waits": {str(days): subjects for days, subjects in sorted(begun.items())},
    }


def _pairs(times: Floats, centre: Integers, centres: int) -> _Pairs:
    _, trials = times.shape
    pair = (np.arange(trials) * centres + centre).ravel()
    subject = np.argsort(pair, kind="stable")  # rows are in the order of entry, and so each pair is
    counts = np.bincount(pair, minlength=trials * centres)
    first = np.cumsum(counts) - counts
    return _Pairs(times.ravel()[subject], subject, first, counts, np.repeat(times[-1], centres))


def _serve(
    there: Floats, pairs: _Pairs, active: Integers, when: Floats, served: int, size: int
) -> None:
    """Note when a cohort came for the subjects whom it serves: `size` after the first `served`."""
    some = pairs.counts[active] > served
    pair, when = active[some], when[some]
    number = np.minimum(pairs.counts[pair] - served, size)
    begin = pairs.first[pair] + served
    within = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number)
    there[np.repeat(begin, number) + within] = np.repeat(when, number)
