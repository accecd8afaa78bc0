"""The keys of `[randomization]`, one class for each method. See docs/algorithms/methods.md.

A new method is one class here, in `Randomization` and in `METHOD_KEYS`, and one file in
`randomization/methods/`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, Strict
from pydantic_core import PydanticCustomError

from iwrs.definition.part import Part
from iwrs.definition.wording import CountryCode, Flag, Slug

SITE_FACTORS = ("country", "region", "centre")
OTHER_REGION = "other"  # of a country that no region names

_COIN_WORDS = 'must be a probability above 1/2 in quotes, for example "2/3" or "0.8"'
_LARGEST = 1000  # of a coin's denominator


def coin_of(text: str) -> Fraction | None:
    """The probability that a coin's text says: above 1/2, at most 1, of a denominator of at most
    1000. None for any other text.
    """
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        return None
    fine = Fraction(1, 2) < value <= 1 and value.denominator <= _LARGEST and len(text) <= 20
    return value if fine else None


def _coin(value: str) -> str:
    if coin_of(value) is None:
        raise PydanticCustomError("wording", "{allowed}", {"allowed": _COIN_WORDS})
    return value


CoinText = Annotated[str, Strict(), AfterValidator(_coin)]
SiteFactor = Literal["country", "region", "centre"]


class Keys(Part):
    """What every method has. ``list_length``: places for each stratum, at least; of a dynamic
    method, places for the whole study. ``stratify_by``: levels that the centre gives.
    ``regions``: country codes of each region; a country in none of them is in region ``other``.
    ``forced_allocation``: whether unblinded staff may name one subject's arm beforehand.
    """

    dynamic: ClassVar[bool] = False

    list_length: Annotated[int, Field(ge=1, le=1_000_000, strict=True)]
    stratify_by: Annotated[tuple[SiteFactor, ...], Field(max_length=3)] = ()
    regions: dict[Slug, tuple[CountryCode, ...]] = Field(default_factory=dict)
    forced_allocation: Flag = False

    def site_levels(self, country_code: str, centre_number: str) -> dict[str, str]:
        """The levels of ``stratify_by`` at one centre."""
        named = (name for name, codes in self.regions.items() if country_code in codes)
        levels = {
            "country": country_code,
            "region": next(named, OTHER_REGION),
            "centre": centre_number,
        }
        return {factor: levels[factor] for factor in self.stratify_by}


class PermutedBlocks(Keys):
    """Blocks in the exact ratio, of sizes drawn at random from ``block_sizes``."""

    method: Literal["permuted-blocks"]
    block_sizes: Annotated[
        tuple[Annotated[int, Field(ge=2, le=200, strict=True)], ...], Field(min_length=1)
    ]


class Complete(Keys):
    """Every allocation drawn alone."""

    method: Literal["complete"]


class Efron(Keys):
    """Biased coin: ``coin`` is the probability of the arm that is behind, of two equal arms."""

    method: Literal["efron"]
    coin: CoinText


class BigStick(Keys):
    """Complete randomization until one arm is ``bound`` ahead."""

    method: Literal["big-stick"]
    bound: Annotated[int, Field(ge=1, le=1000, strict=True)]


class Urn(Keys):
    """Wei's urn: ``start`` balls of each arm, ``added`` of the others with each allocation."""

    method: Literal["urn"]
    start: Annotated[int, Field(ge=0, le=1000, strict=True)]
    added: Annotated[int, Field(ge=1, le=1000, strict=True)]


class Minimization(Keys):
    """Pocock and Simon: ``imbalance`` is how one factor's imbalance is measured, ``weights`` what
    a factor counts (1 where it is not named), ``coin`` the probability of the best arm, of two.
    """

    dynamic: ClassVar[bool] = True

    method: Literal["minimization"]
    imbalance: Literal["range", "variance", "total"]
    coin: CoinText
    weights: dict[Slug, Annotated[int, Field(ge=1, le=1000, strict=True)]] = Field(
        default_factory=dict
    )


Randomization = Annotated[
    PermutedBlocks | Complete | Efron | BigStick | Urn | Minimization,
    Field(discriminator="method"),
]
METHOD_KEYS: dict[str, type[Keys]] = {
    "permuted-blocks": PermutedBlocks,
    "complete": Complete,
    "efron": Efron,
    "big-stick": BigStick,
    "urn": Urn,
    "minimization": Minimization,
}
