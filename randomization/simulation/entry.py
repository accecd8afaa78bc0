"""Who entered the simulated trials, in order: what a randomization method may look at.

Arrays have one row for each subject in the order of entry and one column for each trial.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from randomization.simulation.rules import Integers


@dataclass(frozen=True)
class Entry:
    """The order of entry of many trials.

    levels: one array for each stratification factor, the subject's level from 0. sizes: the number
    of levels of each factor. centre: the subject's centre from 0; centres: how many there are.
    names: of the factors, for a method that weighs them.
    """

    levels: tuple[Integers, ...]
    sizes: tuple[int, ...]
    centre: Integers
    centres: int
    names: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Subjects in each trial, trials."""
        subjects, trials = self.centre.shape
        return subjects, trials

    @property
    def strata(self) -> int:
        """How many strata there are: all combinations of levels."""
        return int(np.prod(self.sizes, dtype=np.int64)) if self.sizes else 1

    @property
    def stratum(self) -> Integers:
        """The subject's stratum, the last factor changing fastest."""
        place = np.zeros_like(self.centre)
        for level, size in zip(self.levels, self.sizes, strict=True):
            place = place * size + level
        return place


def same_entry(
    subjects: int, factors: Mapping[str, Sequence[int]], sizes: Sequence[int], trials: int
) -> Entry:
    """One order of entry, the same in every trial: of each factor the subjects' levels, from 0."""
    columns = tuple(
        np.broadcast_to(np.asarray(each, dtype=np.int64)[:, None], (subjects, trials))
        for each in factors.values()
    )
    centre = np.zeros((subjects, trials), np.int64)
    return Entry(columns, tuple(sizes), centre, 1, tuple(factors))
