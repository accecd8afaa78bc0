"""Allocation of many trials at once: one pass over the subjects, all trials side by side.

Every method picks one track for the next subject with whole weights: the first whose cumulative
weight exceeds draw * total. Permuted blocks are the same with what is left of the open block as
weights, so that every order of a block has one probability.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from randomization.simulation.entry import Entry
from randomization.simulation.rules import (
    Coin,
    Floats,
    Integers,
    Weigh,
    by_counts,
    distances,
    shares,
    track_arms,
)


class Walk(Protocol):
    """A method on its way through the subjects of many trials."""

    def weights(self, place: int) -> Integers:
        """Whole weights of the tracks for the subject at this place, one row for each trial."""

    def took(self, place: int, track: Integers) -> None:
        """Count the tracks that the trials chose for this subject."""


@dataclass(frozen=True)
class Allocated:
    """Arms by subject and trial, and the largest chance that any arm had at that moment."""

    arms: Integers
    best_chance: Floats


class ByStratum:
    """A method that looks at the counts of the subject's own stratum."""

    def __init__(self, rule: Weigh, tracks: int, entry: Entry) -> None:
        self.rule, self.stratum = rule, entry.stratum
        _, trials = entry.shape
        self.rows = np.arange(trials)
        self.counts = np.zeros((trials, entry.strata, tracks), np.int64)

    def weights(self, place: int) -> Integers:
        return self.rule(self.counts[self.rows, self.stratum[place]])

    def took(self, place: int, track: Integers) -> None:
        self.counts[self.rows, self.stratum[place], track] += 1


class ByBlock:
    """Permuted blocks: the weight of a track is what is left of it in the stratum's open block."""

    def __init__(
        self, sizes: tuple[int, ...], tracks: int, entry: Entry, size_draws: Floats
    ) -> None:
        self.times = np.sort(np.asarray(sizes, np.int64)) // tracks
        self.stratum, self.draws = entry.stratum, size_draws
        _, trials = entry.shape
        self.rows = np.arange(trials)
        self.left = np.zeros((trials, entry.strata, tracks), np.int64)

    def weights(self, place: int) -> Integers:
        stratum = self.stratum[place]
        left = self.left[self.rows, stratum]
        full = left.sum(axis=1) == 0
        if full.any():
            chosen = (self.draws[place] * len(self.times)).astype(np.int64)
            left = np.where(full[:, None], self.times[chosen][:, None], left)
            self.left[self.rows, stratum] = left
        return left

    def took(self, place: int, track: Integers) -> None:
        self.left[self.rows, self.stratum[place], track] -= 1


class ByMargins:
    """Minimization: the weighted imbalance over the levels of the subject's factors."""

    def __init__(
        self, kind: str, weights: tuple[int, ...], coin: Coin, tracks: int, entry: Entry
    ) -> None:
        self.kind, self.coin = kind, coin
        self.factor_weights = np.asarray(weights, np.int64)[None, :, None]
        _, trials = entry.shape
        self.rows, self.factors = np.arange(trials)[:, None], np.arange(len(entry.sizes))
        # (subject, trial, factor)
        self.levels = np.stack(entry.levels, axis=-1)
        self.margins = np.zeros((trials, len(entry.sizes), max(entry.sizes), tracks), np.int64)

    def weights(self, place: int) -> Integers:
        counts = self.margins[self.rows, self.factors, self.levels[place]]
        imbalance = (self.factor_weights * distances(counts, self.kind)).sum(axis=1)
        best = imbalance == imbalance.min(axis=1, keepdims=True)
        return np.where(best, self.coin.favour, self.coin.against)

    def took(self, place: int, track: Integers) -> None:
        self.margins[self.rows, self.factors, self.levels[place], track[:, None]] += 1


def walk_of(
    method: Mapping[str, Any], ratio: tuple[int, ...], entry: Entry, size_draws: Floats
) -> Walk:
    """The walk of a method, given as in a study file or in the design of a list."""
    tracks = sum(shares(ratio))
    if method["method"] == "permuted-blocks":
        return ByBlock(tuple(method["block_sizes"]), tracks, entry, size_draws)
    if method["method"] == "minimization":
        if len(entry.names) != len(entry.sizes) or not entry.names:
            raise ValueError("minimization needs factors, each with its name")
        named = dict(method.get("weights") or {})
        weights = tuple(named.get(name, 1) for name in entry.names)
        return ByMargins(method["imbalance"], weights, Coin.of(method["coin"]), tracks, entry)
    return ByStratum(by_counts(method), tracks, entry)


def allocate(
    method: Mapping[str, Any],
    ratio: tuple[int, ...],
    entry: Entry,
    draws: Floats,
    size_draws: Floats,
) -> Allocated:
    """Allocate every subject of every trial.

    draws: uniform on [0, 1), one for each subject and trial; size_draws: the same, of which a
    block that begins with this subject takes its size.
    """
    walk, arm_of = walk_of(method, ratio, entry, size_draws), track_arms(ratio)
    belongs = (arm_of[:, None] == np.arange(len(ratio))).astype(np.int64)
    tracks = np.empty(draws.shape, np.int64)
    best = np.empty(draws.shape)
    for place, draw in enumerate(draws):
        weights = walk.weights(place)
        cumulative = weights.cumsum(axis=1)
        total = cumulative[:, -1]
        tracks[place] = (cumulative <= (draw * total)[:, None]).sum(axis=1)
        best[place] = (weights @ belongs).max(axis=1) / total
        walk.took(place, tracks[place])
    return Allocated(arm_of[tracks], best)
