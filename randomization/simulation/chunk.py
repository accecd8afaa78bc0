"""One chunk of simulated trials: the unit of randomness, and of work.

The numbers of a chunk depend on the seed and the chunk's number alone, so any worker may make it,
in any order, twice over or again after a crash. Each stream is numpy's PCG64, seeded by
SeedSequence(seed, spawn_key=(chunk, purpose)), and gives uniform numbers only. It serves
simulation; no randomization list is ever made from it.
All methods see the same subjects and the same draws: they differ by what they do with them.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from randomization.simulation import measures
from randomization.simulation.engine import Allocated
from randomization.simulation.entry import Entry
from randomization.simulation.measures import Predicted
from randomization.simulation.rules import Floats, Integers

VERSION = "simulation/1"
TRIALS = 250  # of a chunk at most; a run's last chunk may have fewer
MOST_PLACES = 400_000  # subjects of all trials of a chunk: what memory holds with ease
CURVE_POINTS = 60

_DIGITS = 10  # the last bits of a floating-point sum differ between processors


class Streams:
    """The uniform numbers of one chunk, each purpose with its own stream."""

    def __init__(self, seed: int, chunk: int) -> None:
        self.entry, self.draws, self.sizes, self.times = (
            np.random.Generator(
                np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(chunk, purpose)))
            )
            for purpose in range(4)
        )


def chunk_size(subjects: int) -> int:
    """Trials of a chunk: fewer when each trial is large."""
    return max(1, min(TRIALS, MOST_PLACES // subjects))


def chunks_of(trials: int, subjects: int) -> int:
    """How many chunks a run of so many trials has."""
    return -(-trials // chunk_size(subjects))


def trials_in(chunk: int, trials: int, subjects: int) -> int:
    """How many trials of a run are in this chunk, counted from 0."""
    return min(chunk_size(subjects), trials - chunk * chunk_size(subjects))


def results(entry: Entry, allocated: Allocated, ratio: tuple[int, ...]) -> dict[str, Any]:
    """What was measured, ready to be kept as JSON.

    `trials`: one value for each trial and measure. `strata` and `levels`: how often each imbalance
    (in parts of a subject) was found at the end. `curve`: sums over the trials along the way.
    """
    arms, number = allocated.arms, len(ratio)
    in_stratum = measures.counts_by(entry.stratum, arms, entry.strata, number)
    stratum_end = measures.imbalance(in_stratum, ratio)
    everybody = np.zeros_like(arms)
    groups = {"all": everybody, "stratum": entry.stratum, "centre": entry.centre}
    seen = {name: measures.before(each, arms, number) for name, each in groups.items()}
    along = _along(seen["all"], arms, ratio)
    per_trial = {
        "imbalance_end": along[-1],
        "imbalance_most": along.max(axis=0),
        "stratum_end": stratum_end.max(axis=1),
        "stratum_most": _along(seen["stratum"], arms, ratio).max(axis=0),
        "loss": measures.lost(entry, arms, ratio),
        "best_guess": allocated.best_chance.mean(axis=0),
        "certain": (allocated.best_chance == 1).mean(axis=0),
    }
    for name in ("stratum", "centre"):
        per_trial |= _of(name, measures.predicted(seen[name], arms, ratio))
    return {
        "counts": measures.counts_by(everybody, arms, 1, number)[:, 0].tolist(),
        "trials": {name: _plain(values) for name, values in per_trial.items()},
        "strata": _strata(in_stratum, stratum_end),
        "levels": [_level(entry, place, arms, ratio) for place in range(len(entry.sizes))],
        "curve": _curve(along),
    }


def _along(seen: Integers, arms: Integers, ratio: tuple[int, ...]) -> Integers:
    """The imbalance of the subject's own group just after the subject, in parts."""
    return measures.imbalance(measures.with_own(seen, arms), ratio)


def _of(who: str, seen: Predicted) -> dict[str, Floats]:
    return {f"guess_{who}": seen.correct, f"bias_{who}": seen.bias}


def _plain(values: Integers | Floats) -> list[Any]:
    if values.dtype.kind in "iu":
        whole: list[Any] = values.tolist()
        return whole
    return [float(f"{each:.{_DIGITS}g}") for each in values]


def _strata(in_stratum: Integers, ends: Integers) -> list[dict[str, Any]]:
    """Of each stratum: subjects over all trials, and how often each imbalance was the last."""
    subjects = in_stratum.sum(axis=(0, 2))
    return [
        {"subjects": int(subjects[place]), "imbalance": _often(ends[:, place])}
        for place in range(ends.shape[1])
    ]


def _level(entry: Entry, place: int, arms: Integers, ratio: tuple[int, ...]) -> dict[str, int]:
    """Of one factor: how often each imbalance was the largest of its levels at the end."""
    counts = measures.counts_by(entry.levels[place], arms, entry.sizes[place], len(ratio))
    return _often(measures.imbalance(counts, ratio).max(axis=1))


def _often(values: Integers) -> dict[str, int]:
    return {str(value): times for value, times in sorted(Counter(values.tolist()).items())}


def _curve(along: Integers) -> dict[str, list[int]]:
    """The imbalance of the whole trial after some of its subjects: sums of it and its square."""
    subjects = along.shape[0]
    after = np.unique(np.linspace(1, subjects, min(subjects, CURVE_POINTS)).astype(np.int64))
    chosen = along[after - 1]
    return {
        "after": after.tolist(),
        "sum": chosen.sum(axis=1).tolist(),
        "squares": (chosen**2).sum(axis=1).tolist(),
    }
