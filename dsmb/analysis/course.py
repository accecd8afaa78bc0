"""What is known of a subject, with the arm kept apart from everything else.

`Course` is the blinded side's knowledge: dates, reads, strata. `SubjectRecord` adds the arm and
exists on the unblinded side only. A function that counts or derives without the arm takes a
`Course`, so that its signature alone says which side may call it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

Reader = Literal["local", "central"]
Response = Literal["CR", "PR", "SD", "PD", "NE"]
READERS: tuple[Reader, ...] = ("local", "central")
RESPONSES: tuple[Response, ...] = ("CR", "PR", "SD", "PD", "NE")


class DerivationError(ValueError):
    """A subject's course cannot be true as entered; the text names subject and dates, no arm."""


@dataclass(frozen=True)
class Read:
    """One overall tumour response; `assessed_on` is the day of the scan, not of the reading."""

    reader: Reader
    assessed_on: date
    response: Response


@dataclass(frozen=True)
class Course:
    """One randomized subject without the arm.

    `strata` maps stratification factor to level as randomized, in the order of the study
    definition. `withdrew_on` is withdrawal of consent or loss to follow-up. `new_therapy_on` is
    the start of another anticancer treatment. A date that has not happened is None.
    `verified_strata` is what was found to be right by the data cut, None when nothing was.
    """

    subject: str
    centre: str
    country: str
    strata: Mapping[str, str]
    randomized_on: date
    first_dose_on: date | None = None
    drug_stopped_on: date | None = None
    reads: Sequence[Read] = ()
    new_therapy_on: date | None = None
    withdrew_on: date | None = None
    died_on: date | None = None
    last_contact_on: date | None = None
    age: int | None = None
    verified_strata: Mapping[str, str] | None = None
    randomized_in_error_on: date | None = None

    def __post_init__(self) -> None:
        for name in ("first_dose_on", "drug_stopped_on", "new_therapy_on", "died_on"):
            when = getattr(self, name)
            if when is not None and when < self.randomized_on:
                raise DerivationError(
                    f"subject {self.subject}: {name} is {when}, before randomization on "
                    f"{self.randomized_on}; correct one of the two dates"
                )
        for read in self.reads:
            if read.reader not in READERS or read.response not in RESPONSES:
                raise DerivationError(
                    f"subject {self.subject}: a read by {read.reader!r} on {read.assessed_on} says "
                    f"{read.response!r}; readers are {READERS}, responses {RESPONSES}"
                )


@dataclass(frozen=True)
class Arm:
    """A treatment arm; of two arms in a comparison exactly one has `control` set, of more any
    number.
    """

    code: str
    label: str
    control: bool = False


@dataclass(frozen=True)
class SubjectRecord:
    """A subject's course together with the arm: unblinded side only."""

    course: Course
    arm: Arm
