"""Strata: the combinations of factor levels, each with a list of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

from iwrs.definition.problem import show

if TYPE_CHECKING:
    from iwrs.definition.model import Factor, Level

UNSTRATIFIED = "all"  # key of the only stratum of a study without factors


@dataclass(frozen=True)
class Stratum:
    """One combination of factor levels. ``key`` reads ``visceral=yes|sensitive=no``."""

    key: str
    levels: dict[str, str]
    label: str


class StratumAnswerError(ValueError):
    """The answers do not name a stratum. ``field`` is the factor, ``allowed`` its level keys."""

    def __init__(self, field: str, allowed: tuple[str, ...], what: str) -> None:
        self.field = field
        self.allowed = allowed
        super().__init__(f"{field}: {what}; answer with one of: {', '.join(allowed)}")


class UnansweredFactor(StratumAnswerError):
    """A stratification question has no answer."""


class UnknownLevel(StratumAnswerError):
    """A stratification question has an answer that the study does not know."""


def key_for(factors: Sequence[Factor], answers: Mapping[str, str], site: Mapping[str, str]) -> str:
    """The stratum key of these answers; see ``StudyDefinition.stratum_key``."""
    chosen = []
    for factor in factors:
        allowed = tuple(level.key for level in factor.levels)
        answer = answers.get(factor.key)
        if answer is None or answer == "":
            raise UnansweredFactor(factor.key, allowed, "has no answer")
        if answer not in allowed:
            raise UnknownLevel(factor.key, allowed, f"{show(answer)} is not an answer")
        chosen.append(f"{factor.key}={answer}")
    chosen += [f"{factor}={level}" for factor, level in site.items()]
    return "|".join(chosen) or UNSTRATIFIED


def levels_in(key: str) -> dict[str, str]:
    """The level of each factor in a stratum key, those that the centre gives included."""
    if key == UNSTRATIFIED:
        return {}
    return dict(part.split("=", 1) for part in key.split("|"))


def all_strata(
    factors: Sequence[Factor], sites: Iterable[Mapping[str, str]]
) -> tuple[Stratum, ...]:
    """Every combination of levels in file order, the last factor changing fastest, at each of the
    different ``sites``.
    """
    combinations = list(product(*(factor.levels for factor in factors)))
    return tuple(_stratum(factors, levels, site) for site in sites for levels in combinations)


def _stratum(
    factors: Sequence[Factor], chosen: Sequence[Level], site: Mapping[str, str]
) -> Stratum:
    pairs = list(zip(factors, chosen, strict=True))
    answers = {factor.key: level.key for factor, level in pairs}
    words = [f"{factor.question.rstrip('?').rstrip()}: {level.label}" for factor, level in pairs]
    words += [f"{factor.capitalize()}: {level}" for factor, level in site.items()]
    label = "; ".join(words) or "All subjects"
    return Stratum(key_for(factors, answers, site), answers | dict(site), label)
