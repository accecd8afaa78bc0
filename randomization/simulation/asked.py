"""What a person types: methods as lines of text, and who comes as a short TOML text."""

from __future__ import annotations

import tomllib
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from iwrs.definition.methods import METHOD_KEYS, Keys
from randomization.methods import MethodError, method_of
from randomization.simulation.plan import Contender
from randomization.simulation.supply import LEAD_DAYS, RESTOCK_AT, RUN_EVERY_DAYS

MOST_SUBJECTS = 20_000
MOST_METHODS = 8
MOST_TEXT = 200_000  # characters of an accrual file
NO_FACTOR = "none"
OF_THE_LIST = set(Keys.model_fields)  # keys of `[randomization]` that are not the method's own

Weight = Annotated[float, Field(gt=0, lt=1e9, allow_inf_nan=False)]
PerWeek = Annotated[float, Field(ge=0.01, le=10_000, allow_inf_nan=False, strict=True)]
Chance = Annotated[float, Field(ge=0, lt=1e9, allow_inf_nan=False)]


class AskedError(ValueError):
    """What was typed cannot be used; the text says what, where, and what to do."""


class SiteRow(BaseModel):
    """One centre: `weight` is its share of the subjects, beside the others' weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    number: Annotated[str, Field(min_length=1, max_length=10)]
    country: Annotated[str, Field(pattern="^[A-Z]{2}$")] = "XX"
    weight: Weight = 1.0


class SupplyText(BaseModel):
    """How centres are supplied with kits; `supply.Supply` says what each key means."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cohort_size: Annotated[int, Field(ge=1, le=1000, strict=True)] | None = None
    restock_at: Annotated[int, Field(ge=0, le=100, strict=True)] = RESTOCK_AT
    lead_days: Annotated[int, Field(ge=0, le=365, strict=True)] = LEAD_DAYS
    run_every_days: Annotated[int, Field(ge=1, le=365, strict=True)] = RUN_EVERY_DAYS


class AccrualText(BaseModel):
    """The keys of an accrual file; each may be left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    subjects: Annotated[int, Field(ge=2, le=MOST_SUBJECTS, strict=True)] | None = None
    centres: Annotated[int, Field(ge=1, le=2_000, strict=True)] | None = None
    spread: Annotated[float, Field(ge=0.05, le=1000, allow_inf_nan=False)] | None = None
    centre: Annotated[tuple[SiteRow, ...], Field(max_length=2_000)] = ()
    levels: dict[str, dict[str, Chance]] = Field(default_factory=dict)
    per_week: PerWeek | None = None
    supply: SupplyText | None = None


def read_accrual(text: str) -> AccrualText:
    """The accrual that a TOML text describes; an empty text describes nothing.

    Raises `AskedError` with all that is wrong.
    """
    if len(text) > MOST_TEXT:
        raise AskedError(f"The text is too long; write at most {MOST_TEXT:,} characters.")
    try:
        found = AccrualText.model_validate(tomllib.loads(text))
    except ValidationError as error:
        raise AskedError(_told(error)) from None
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise AskedError(f"This is not correct TOML: {error}.") from None
    if found.centre and found.centres is not None:
        raise AskedError("Give either `centres`, a number, or each [[centre]]; not both.")
    if found.supply and found.per_week is None:
        raise AskedError(
            "[supply] needs per_week, subjects a week of the whole study; write it on top."
        )
    if len({row.number for row in found.centre}) < len(found.centre):
        raise AskedError("A centre number is given twice.")
    return found


def read_method(
    line: str, arms: tuple[tuple[str, int], ...], factors: tuple[str, ...]
) -> Contender:
    """One method from a line such as `efron coin=2/3` or `minimization imbalance=range coin=4/5`.

    `by=visceral,country` names the factors that it looks at, `by=none` none of them; without it
    the method looks at all. `weights.visceral=2` weighs a factor. Raises `AskedError`.
    """
    name, *rest = line.split() or [""]
    if name not in METHOD_KEYS:
        raise AskedError(f"{name!r} is not a method; use one of: {', '.join(METHOD_KEYS)}.")
    keys, by = _keys(line, rest, factors)
    try:
        written = METHOD_KEYS[name].model_validate({"method": name, "list_length": 1} | keys)
        method_of(written).check(arms, 1)
    except ValidationError as error:
        raise AskedError(f"{line}: {_told(error)}") from None
    except MethodError as error:
        raise AskedError(f"{line}: {error}") from None
    if name == "minimization" and not by:
        raise AskedError(f"{line}: minimization needs a factor to look at.")
    if set(keys.get("weights", {})) - set(by):
        raise AskedError(f"{line}: weights are for the factors it looks at: {', '.join(by)}.")
    kept = written.model_dump(mode="json", exclude=OF_THE_LIST)
    return Contender(label=told_method(kept), method=kept, by=by)


def told_method(method: dict[str, Any]) -> str:
    """A method in words: `Permuted blocks, block sizes 3, 6`."""
    words = [method["method"].replace("-", " ").capitalize()]
    for key, value in method.items():
        if key == "weights":
            words += [f"{factor} weighs {weight}" for factor, weight in value.items()]
        elif key != "method":
            told = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            words.append(f"{key.replace('_', ' ')} {told}")
    return ", ".join(words)


def _keys(
    line: str, pairs: list[str], factors: tuple[str, ...]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    keys: dict[str, Any] = {}
    by = factors
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not value:
            raise AskedError(f"{line}: {pair!r} is not of the form key=value.")
        if key in OF_THE_LIST:
            raise AskedError(f"{line}: {key} is of the list, not of the method; leave it out.")
        if key == "by":
            by = () if value == NO_FACTOR else tuple(value.split(","))
        elif key.startswith("weights."):
            keys.setdefault("weights", {})[key.removeprefix("weights.")] = _number(value)
        elif key == "block_sizes":
            keys[key] = [_number(each) for each in value.split(",")]
        else:
            keys[key] = value if key in {"coin", "imbalance"} else _number(value)
    if unknown := [each for each in by if each not in factors]:
        known = ", ".join(factors) or "none: the study has no factor"
        raise AskedError(f"{line}: {unknown[0]!r} is not a factor; the factors are {known}.")
    return keys, tuple(each for each in factors if each in by)


def _number(text: str) -> int | str:
    """A whole number, or the text as it is: then pydantic says what is wrong with it."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text


def _told(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()[:10]
    )
