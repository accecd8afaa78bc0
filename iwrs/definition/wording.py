"""The kinds of text and number that a study definition is made of, and what they may hold."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, Field, Strict
from pydantic_core import PydanticCustomError

# Characters that cannot be seen or that change how the rest of a line reads: controls, formats
# (zero width, bidirectional overrides), surrogates, private use, unassigned, line separators.
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def _pattern(pattern: str, allowed: str) -> Callable[[str], str]:
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise PydanticCustomError("wording", "{allowed}", {"allowed": allowed})
        return value

    return check


def _check(value: str, allowed: str, *, unseen_but_fine: str = "") -> str:
    why = ""
    if not value or value != value.strip():
        why = "must not be empty and must not begin or end with a space"
    for position, character in enumerate(value, start=1):
        if unicodedata.category(character) in _UNSEEN and character not in unseen_but_fine:
            why = f"character {position} (U+{ord(character):04X}) cannot be seen; remove it"
            break
    if why:
        raise PydanticCustomError("wording", "{allowed}", {"allowed": f"{why}; {allowed}"})
    return value


def _line(value: str) -> str:
    return _check(value, "one line of plain text is allowed")


def _prose(value: str) -> str:
    if not value:
        return value
    return _check(value, "plain text of one or several lines is allowed", unseen_but_fine="\n")


def comparable(text: str) -> str:
    """The form in which two labels are compared: what looks the same to a reader is the same."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


_SLUG_WORDS = "must begin with a small letter a-z, then small letters, digits and _ only"
_VALUE_WORDS = "must begin with a small letter a-z or a digit, then these and _ only"
_CODE_WORDS = "must be 1 to 8 capital letters A-Z and digits, a letter first"
_KIT_WORDS = "must begin with a small letter a-z, then small letters, digits, _ and - only"

Slug = Annotated[
    str, Strict(), Field(max_length=32), AfterValidator(_pattern("[a-z][a-z0-9_]*", _SLUG_WORDS))
]
# Dose levels and recorded answers are often called by their number ("10mg", ECOG "0").
CodedValue = Annotated[
    str,
    Strict(),
    Field(max_length=32),
    AfterValidator(_pattern("[a-z0-9][a-z0-9_]*", _VALUE_WORDS)),
]
# Eight characters, as an arm or parameter code in submission datasets (ARMCD, PARAMCD) is short.
Code = Annotated[str, Strict(), AfterValidator(_pattern("[A-Z][A-Z0-9]{0,7}", _CODE_WORDS))]
KitType = Annotated[
    str, Strict(), Field(max_length=32), AfterValidator(_pattern("[a-z][a-z0-9_-]*", _KIT_WORDS))
]
CountryCode = Annotated[
    str, Strict(), AfterValidator(_pattern("[A-Z]{2}", "must be a country code of two letters A-Z"))
]
CentreNumber = Annotated[
    str, Strict(), AfterValidator(_pattern("[0-9]{4}", "must be a centre number of four digits"))
]
Line = Annotated[str, Strict(), Field(max_length=300), AfterValidator(_line)]
Prose = Annotated[str, Strict(), Field(max_length=2000), AfterValidator(_prose)]

Flag = Annotated[bool, Strict()]
Whole = Annotated[int, Strict(), Field(ge=-1_000_000, le=1_000_000)]
Count = Annotated[int, Strict(), Field(ge=1, le=1_000_000)]
CountOrZero = Annotated[int, Strict(), Field(ge=0, le=1_000_000)]
Days = Annotated[int, Strict(), Field(ge=1, le=3660)]
DaysOrZero = Annotated[int, Strict(), Field(ge=0, le=3660)]
Fraction = Annotated[float, Strict(), Field(gt=0, le=1, allow_inf_nan=False)]
Alpha = Annotated[float, Strict(), Field(gt=0, lt=0.5, allow_inf_nan=False)]
