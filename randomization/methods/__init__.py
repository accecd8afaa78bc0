"""How a treatment is drawn: one file for each method. See docs/algorithms/methods.md.

A new method is a file here, its line in METHODS, and its keys in `iwrs/definition/methods.py`.
"""

from dataclasses import asdict, fields
from typing import Any

from iwrs.definition import methods as keys

from .base import Arms, Method, MethodError, Sequential, Words, track_at, tracks
from .big_stick import BigStick
from .coin import Coin
from .complete import Complete
from .efron import Efron
from .minimization import Decision, Minimization
from .permuted_blocks import PermutedBlocks
from .urn import Urn

__all__ = [
    "METHODS",
    "Arms",
    "Coin",
    "Decision",
    "Method",
    "MethodError",
    "Minimization",
    "PermutedBlocks",
    "Sequential",
    "Words",
    "as_json",
    "from_json",
    "method_of",
    "track_at",
    "tracks",
]

METHODS: dict[str, type[Any]] = {
    method.name: method for method in (PermutedBlocks, Complete, Efron, BigStick, Urn, Minimization)
}


def method_of(randomization: "keys.Keys") -> Method:
    """The method that a study definition chooses, with its parameters."""
    return from_json(randomization.model_dump(mode="json"))


def as_json(method: Method) -> dict[str, Any]:
    """A method as a list's record keeps it: its name and its parameters."""
    return {"method": method.name} | asdict(method)  # type: ignore[call-overload]


def from_json(written: dict[str, Any]) -> Method:
    """The method that `as_json` wrote. Keys that are not parameters are passed over."""
    kind = METHODS[written["method"]]
    given = {each.name: written[each.name] for each in fields(kind) if each.name in written}
    made: Method = kind(**{name: _frozen(value) for name, value in given.items()})
    return made


def _frozen(value: Any) -> Any:
    """Lists and tables as tuples: parameters are values."""
    if isinstance(value, dict):
        return tuple(value.items())
    if isinstance(value, list):
        return tuple(_frozen(each) for each in value)
    return value
