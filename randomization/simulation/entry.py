"""Who entered the simulated trials, in order: what a randomization method may look at.

Arrays have one row for each subject in the order of entry and one column for each trial.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from randomization.simulation.rules import Integers


@dataclass(frozen=True)
class Entry:
    """The order of entry of many trials.

    levels: one array for each stratification factor, the subject's level from 0. sizes: the number
    of levels of each factor. centre: the subject's centre from 0; centres: how many there are.
    """

    levels: tuple[Integers, ...]
    sizes: tuple[int, ...]
    centre: Integers
    centres: int

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


def same_entry(levels: Sequence[Sequence[int]], sizes: Sequence[int], trials: int) -> Entry:
    """One real order of entry for every trial: `levels` has one sequence for each factor.

    Without factors give one sequence of zeros of size 1, so that the number of subjects is known.
    """
    columns = tuple(
        np.broadcast_to(np.asarray(each, dtype=np.int64)[:, None], (len(each), trials))
        for each in levels
    )
    return Entry(columns, tuple(sizes), np.zeros_like(columns[0]), 1)
