"""What a run of simulations is asked: everything, beside seed and number, that it depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from randomization.simulation.accrual import Accrual, enter
from randomization.simulation.chunk import Streams, results
from randomization.simulation.engine import allocate
from randomization.simulation.entry import Entry
from randomization.simulation.supply import Supply, arrival_times, measured


class Factor(BaseModel):
    """A stratification factor, of the subject or of the centre."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    levels: tuple[str, ...]


class Contender(BaseModel):
    """One method to be simulated.

    method: its keys as in a study file. by: the factors that it looks at, a part of the plan's.
    label: what tables and figures call it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str
    method: dict[str, Any]
    by: tuple[str, ...]


class Plan(BaseModel):
    """Arms with their ratio, factors in the order of `accrual`, who comes, and the methods.

    `accrual.levels` belong to the first factors, `accrual.sites` to the others. `supply` is None
    when kits are not simulated. closed: codes of the study's arms that take no new subjects and are
    left out. Runs of earlier versions of the software have neither.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    arms: tuple[tuple[str, int], ...]
    factors: tuple[Factor, ...]
    accrual: Accrual
    contenders: tuple[Contender, ...]
    supply: Supply | None = None
    closed: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Self:
        """The plan that `as_json` wrote."""
        return cls.model_validate(written)

    def as_json(self) -> dict[str, Any]:
        """Plain values, as a row keeps them."""
        return self.model_dump(mode="json")

    @property
    def ratio(self) -> tuple[int, ...]:
        return tuple(ratio for _, ratio in self.arms)

    def stratum_names(self) -> list[str]:
        """Of each stratum, in the order of the results, the levels that make it."""
        names = [""]
        for factor in self.factors:
            names = [
                f"{before}|{factor.name}={level}" for before in names for level in factor.levels
            ]
        return [name.removeprefix("|") or "all" for name in names]


def simulate(plan: Plan, *, seed: int, chunk: int, trials: int) -> list[dict[str, Any]]:
    """The results of each method in one chunk, ready to be kept as JSON. See `chunk.results`.

    Those of the first method carry `supply` too, when it was asked for: it is the same for all.
    """
    streams = Streams(seed, chunk)
    entry = enter(plan.accrual, trials, streams.entry)
    draws, sizes = streams.draws.random(entry.shape), streams.sizes.random(entry.shape)
    found = []
    for contender in plan.contenders:
        seen = _seen(plan, contender, entry)
        allocated = allocate(contender.method, plan.ratio, seen, draws, sizes)
        found.append(results(entry, allocated, plan.ratio))
    if plan.supply:
        times = arrival_times(plan.supply, streams.times.random(entry.shape))
        found[0]["supply"] = measured(plan.supply, times, entry.centre, entry.centres)
    return found


def _seen(plan: Plan, contender: Contender, entry: Entry) -> Entry:
    """The order of entry with the factors that the method looks at, and no other."""
    names = [factor.name for factor in plan.factors]
    places = [names.index(name) for name in contender.by]
    levels = tuple(entry.levels[place] for place in places)
    sizes = tuple(entry.sizes[place] for place in places)
    return replace(entry, names=contender.by, levels=levels, sizes=sizes)
