"""How subjects enter a simulated trial: at which centre, with which levels of the factors.

Subjects come one by one. Each comes to a centre by the centres' weights, and has its level of each
factor by that factor's probabilities, independently of everything else. With `spread` the centres
recruit at rates that differ more than their weights say: a rate is weight times a gamma variable of
mean 1 and shape `spread`, drawn for each trial.
Source: Anisimov VV, Fedorov VV, Stat Med 2007;26:4958 (Poisson-gamma recruitment).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaincinv

from randomization.simulation.entry import Entry
from randomization.simulation.rules import Floats, Integers


@dataclass(frozen=True)
class Accrual:
    """Who will come.

    subjects: in each trial. centre_weights: one for each centre. levels: for each factor that
    subjects bring with them, the probabilities of its levels. sites: for each factor that the
    centre decides (country, region, the centre itself), the level of each centre. spread: shape of
    the gamma variable, None for rates exactly as the weights.
    """

    subjects: int
    centre_weights: tuple[float, ...]
    levels: tuple[tuple[float, ...], ...] = ()
    sites: tuple[tuple[int, ...], ...] = ()
    spread: float | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of levels of each factor, the subjects' own first."""
        own = tuple(len(each) for each in self.levels)
        return own + tuple(max(each) + 1 for each in self.sites)


def enter(accrual: Accrual, trials: int, rng: np.random.Generator) -> Entry:
    """Draw the order of entry of many trials. Draws uniform numbers only."""
    shape = (accrual.subjects, trials)
    centre = _centres(accrual, trials, rng)
    own = [choose(each, rng.random(shape)) for each in accrual.levels]
    decided = [np.asarray(each, np.int64)[centre] for each in accrual.sites]
    return Entry((*own, *decided), accrual.sizes, centre, len(accrual.centre_weights))


def choose(weights: Sequence[float] | Floats, draws: Floats) -> Integers:
    """The place of the first cumulative weight above the draw, by inversion."""
    edges = np.cumsum(np.asarray(weights, float))
    found = np.searchsorted(edges[:-1] / edges[-1], draws, side="right")
    return found.astype(np.int64)


def _centres(accrual: Accrual, trials: int, rng: np.random.Generator) -> Integers:
    draws = rng.random((accrual.subjects, trials))
    if accrual.spread is None:
        return choose(accrual.centre_weights, draws)
    # By inversion, so that the stream is one of uniform numbers and nothing else.
    gamma = gammaincinv(accrual.spread, rng.random((trials, len(accrual.centre_weights))))
    rates = gamma * np.asarray(accrual.centre_weights)
    return np.stack([choose(rates[each], draws[:, each]) for each in range(trials)], axis=1)
