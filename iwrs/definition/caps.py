"""What a cap counts: a rule over a subject's factor levels, country and centre. No Django."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iwrs.definition.model import Cap


@dataclass(frozen=True)
class Place:
    """Where a subject stands for the caps: factor key to level, country code, centre number."""

    levels: Mapping[str, str]
    country: str
    centre: str


def counts(cap: Cap, place: Place) -> bool:
    """True when the cap counts subjects of this place."""
    return (
        all(place.levels.get(factor) in chosen for factor, chosen in cap.where.items())
        and (not cap.countries or place.country in cap.countries)
        and (not cap.centres or place.centre in cap.centres)
    )


def group_of(cap: Cap, place: Place) -> str:
    """With whom a subject of this place shares the limit: a centre, a country, a stratum, or all.

    A stratum is here one combination of the factors' levels, of all centres together.
    """
    if cap.each == "stratum":
        return "|".join(f"{key}={level}" for key, level in sorted(place.levels.items()))
    return {"centre": place.centre, "country": place.country}.get(cap.each, "")
