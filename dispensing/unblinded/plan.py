"""Which need is served from which lot. No Django, and no arm: it could not tell one if it tried.

What goes in are counts of blinded acts and shared expiries. A *place* of a lot is one kit of
every arm. A cover cohort takes as many places as it serves randomizations; a visit takes one place
and gets one kit of it, and the others stay in the depot. So a lot runs out after the same
number of needs whichever arms the subjects have.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True)
class DepotLot:
    """A lot in the depot and how many places of it are free."""

    pk: int
    expires_on: date
    places: int


@dataclass(frozen=True)
class VisitNeed:
    """A planned dispensation; its kit must be good until `use_until`, that day included."""

    dispensation: int
    subject: int
    centre: int
    use_until: date


@dataclass(frozen=True)
class CoverNeed:
    """A cohort for the next `size` randomizations at a centre."""

    centre: int
    size: int
    use_until: date


@dataclass(frozen=True)
class SupplyPlan:
    """Each need that can be served with the key of its lot, and how many cannot."""

    visits: tuple[tuple[VisitNeed, int], ...]
    covers: tuple[tuple[CoverNeed, int], ...]
    unmet_visits: int
    unmet_covers: int

    def places(self) -> dict[int, int]:
        """How many places each lot gives."""
        taken: dict[int, int] = {}
        for _, lot in self.visits:
            taken[lot] = taken.get(lot, 0) + 1
        for need, lot in self.covers:
            taken[lot] = taken.get(lot, 0) + need.size
        return taken


def plan_supply(
    lots: Iterable[DepotLot], visits: Sequence[VisitNeed], covers: Sequence[CoverNeed]
) -> SupplyPlan:
    """Serve the needs in their order, visits first, each from the lot that expires first.

    Subjects in treatment come before cover for subjects who are not yet in the study. A lot is
    fit when it is good until `use_until` and has the places; a cohort comes from one lot.
    """
    depot = sorted(lots, key=lambda lot: (lot.expires_on, lot.pk))
    free = {lot.pk: lot.places for lot in depot}

    def take(use_until: date, size: int) -> int | None:
        for lot in depot:
            if lot.expires_on >= use_until and free[lot.pk] >= size:
                free[lot.pk] -= size
                return lot.pk
        return None

    sent = [(need, take(need.use_until, 1)) for need in visits]
    stocked = [(need, take(need.use_until, need.size)) for need in covers]
    met = tuple((need, lot) for need, lot in sent if lot is not None)
    covered = tuple((need, lot) for need, lot in stocked if lot is not None)
    return SupplyPlan(met, covered, len(sent) - len(met), len(stocked) - len(covered))
