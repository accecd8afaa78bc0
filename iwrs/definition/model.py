"""A study as configuration: every attribute has the name of its key in the study file.

All parts are frozen and know no other keys. The one attribute with another name is
``StudyDefinition.schema_version`` (key ``schema``), since pydantic reserves ``schema``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from iwrs.definition.methods import Randomization
from iwrs.definition.part import Part
from iwrs.definition.problem import as_problem
from iwrs.definition.rules import broken_rules
from iwrs.definition.strata import Stratum, all_strata, key_for
from iwrs.definition.wording import (
    Alpha,
    CentreNumber,
    Code,
    CodedValue,
    Count,
    CountOrZero,
    CountryCode,
    Days,
    DaysOrZero,
    Flag,
    Fraction,
    KitType,
    Line,
    Prose,
    Slug,
    Whole,
)

EventName = Literal[
    "progression",
    "death",
    "ecog_deterioration",
    "qol_deterioration",
    "complete_response",
    "partial_response",
    "stable_disease_24_weeks",
]


class Study(Part):
    """What the study is called and how large it may become (subjects randomized).

    ``max_rescreenings`` is how often a person may be screened again after a screen failure.
    """

    code: Slug
    title: Line
    protocol: Line
    planned_subjects: Count
    max_subjects: Count
    max_rescreenings: Annotated[int, Field(ge=0, le=10, strict=True)] = 0


class Arm(Part):
    """A treatment arm and its share of each block. A ``closed`` one takes no new subjects; who has
    it keeps it. The analysis compares the other arms with each ``control``.
    """

    code: Code
    label: Line
    ratio: Annotated[int, Field(ge=1, le=20, strict=True)]
    closed: Flag = False
    control: Flag = False


class Level(Part):
    """One possible answer to a stratification question."""

    key: Slug
    label: Line


class Factor(Part):
    """A stratification factor. ``help`` is shown beside the question."""

    key: Slug
    question: Line
    help: Prose = ""
    levels: Annotated[tuple[Level, ...], Field(min_length=2, max_length=20)]


class Cap(Part):
    """How many subjects may be randomized of those whom the conditions name; without one, of all.

    ``where`` gives levels of factors. With ``each`` the limit holds for every centre, country or
    combination of factor levels apart.
    """

    key: Slug
    label: Line
    limit: CountOrZero
    where: dict[Slug, Annotated[tuple[Slug, ...], Field(min_length=1)]] = {}
    countries: tuple[CountryCode, ...] = ()
    centres: tuple[CentreNumber, ...] = ()
    each: Literal["study", "centre", "country", "stratum"] = "study"


class Criterion(Part):
    """An eligibility question. Include: the answer must be yes; exclude: it must be no."""

    key: Slug
    question: Line
    help: Prose = ""
    kind: Literal["include", "exclude"]
    deviation_allowed: Flag = False


class Choice(Part):
    """One answer that may be recorded for a choice."""

    key: CodedValue
    label: Line


class BaselineItem(Part):
    """What is recorded at screening; allocation never uses it. Bounds are in ``unit``."""

    key: Slug
    question: Line
    help: Prose = ""
    type: Literal["integer", "choice"]
    unit: Line | None = None
    minimum: Whole | None = None
    maximum: Whole | None = None
    choices: tuple[Choice, ...] = ()
    required: Flag = True


class StopReason(Part):
    """A reason for which one drug is stopped."""

    key: Slug
    label: Line


class Drug(Part):
    """A drug of the study; each is stopped on its own."""

    key: Slug
    label: Line
    blinded: Flag
    stop_reasons: Annotated[tuple[StopReason, ...], Field(min_length=1)]


class DoseLevel(Part):
    """A dose of a drug. ``order`` 1 is the full dose, 2 the first reduction, and so on."""

    key: CodedValue
    label: Line
    drug: Slug
    tablets_per_28_days: Count
    order: Annotated[int, Field(ge=1, le=20, strict=True)]


class Kits(Part):
    """The blinded kit. ``days`` is how long one kit lasts at the full dose, visit window apart."""

    type: KitType
    label: Line
    units: Count
    days: Days
    contents: dict[Code, Line]
    cohort_size: Annotated[int, Field(ge=1, le=1000, strict=True)]
    visit_horizon_days: Days


class Schedule(Part):
    """Visits at a fixed distance from the anchor. All distances in days."""

    anchor: Literal["randomization"]
    every_days: Days
    window_before_days: DaysOrZero
    window_after_days: DaysOrZero
    plan_ahead: Annotated[int, Field(ge=1, le=100, strict=True)]
    reminder_days_before: DaysOrZero
    dispenses_at_randomization: Flag
    dispenses_at_visits: Flag
    baseline_label: Line


class Endpoint(Part):
    """An end point: ``event`` lists what counts as the event (or, if binary, as a success)."""

    code: Code
    label: Line
    kind: Literal["time_to_event", "binary"]
    reader: Literal["local", "central", "none"]
    event: Annotated[tuple[EventName, ...], Field(min_length=1)]


class Interim(Part):
    """Group-sequential plan. ``looks`` are information fractions of ``planned_events``."""

    endpoint: Code
    support: Code | None = None
    planned_events: Count
    looks: Annotated[tuple[Fraction, ...], Field(min_length=1, max_length=10)]
    alpha_one_sided: Alpha
    spending: Literal["lan-demets-obrien-fleming"]


class Recipient(Part):
    """Who receives sealed packages."""

    key: Slug
    label: Line
    receives: Annotated[tuple[Literal["interim_extract"], ...], Field(min_length=1)]


class Release(Part):
    """Every sealed package is padded to ``package_kib`` KiB before encryption."""

    package_kib: Annotated[int, Field(ge=16, le=1_048_576, strict=True)]


class Unblinding(Part):
    """When the whole study may be unblinded: accrual is closed, and at a data cut ``events`` of
    ``endpoint`` were counted over all arms.
    """

    endpoint: Code
    events: Count


class StudyDefinition(Part):
    """The whole study file, checked."""

    schema_version: Literal[1] = Field(alias="schema")
    study: Study
    arms: Annotated[tuple[Arm, ...], Field(min_length=2, max_length=10)]
    factors: Annotated[tuple[Factor, ...], Field(max_length=10)] = ()
    randomization: Randomization
    caps: Annotated[tuple[Cap, ...], Field(max_length=50)] = ()
    eligibility: Annotated[tuple[Criterion, ...], Field(min_length=1)]
    baseline: tuple[BaselineItem, ...] = ()
    drugs: Annotated[tuple[Drug, ...], Field(min_length=1)]
    dose_levels: Annotated[tuple[DoseLevel, ...], Field(min_length=1)]
    kits: Kits
    schedule: Schedule
    endpoints: Annotated[tuple[Endpoint, ...], Field(min_length=1)]
    interim: Interim
    recipients: Annotated[tuple[Recipient, ...], Field(min_length=1)]
    release: Release
    unblinding: Unblinding | None = None

    @model_validator(mode="after")
    def _keeps_the_rules(self) -> Self:
        document = self.model_dump(mode="json")
        problems = [as_problem(document, finding) for finding in broken_rules(document)]
        if problems:
            text = "\n".join(str(problem) for problem in problems)
            raise PydanticCustomError("study_rules", "{text}", {"text": text})
        return self

    @property
    def arm_codes(self) -> tuple[str, ...]:
        """Arm codes in file order."""
        return tuple(arm.code for arm in self.arms)

    @property
    def open_arms(self) -> tuple[Arm, ...]:
        """Arms that take new subjects, in file order: a list is made of them."""
        return tuple(arm for arm in self.arms if not arm.closed)

    @property
    def control_codes(self) -> tuple[str, ...]:
        """Codes of the control arms. Of two arms the last is the control when none is marked; of
        more there may be none.
        """
        marked = tuple(arm.code for arm in self.arms if arm.control)
        return marked or (self.arm_codes[-1:] if len(self.arms) == 2 else ())

    @property
    def ratio(self) -> tuple[int, ...]:
        """Allocation ratio in the order of ``arm_codes``."""
        return tuple(arm.ratio for arm in self.arms)

    @property
    def unblinded_at(self) -> Unblinding:
        """When the whole study may be unblinded; by itself, at the end of the planned analysis."""
        return self.unblinding or Unblinding(
            endpoint=self.interim.endpoint, events=self.interim.planned_events
        )

    @property
    def blinded_drug(self) -> Drug:
        """The one drug whose content depends on the arm."""
        return next(drug for drug in self.drugs if drug.blinded)

    def strata(self, sites: Iterable[Mapping[str, str]] = ({},)) -> tuple[Stratum, ...]:
        """Every stratum, levels in file order, the last factor changing fastest.

        ``sites``: the different levels that centres give (``randomization.site_levels``).
        """
        return all_strata(self.factors, sites)

    def stratum_key(self, answers: Mapping[str, str], site: Mapping[str, str] = {}) -> str:
        """The key of the stratum that these answers (factor key to level key) name, at a centre
        with the levels of ``site``.

        Other keys in ``answers`` are ignored. Raises ``UnansweredFactor`` or ``UnknownLevel``.
        """
        return key_for(self.factors, answers, site)

    def canonical_json(self) -> str:
        """The definition as JSON with sorted keys and no spaces: equal text, equal definition."""
        return json.dumps(
            self.model_dump(mode="json"),
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=False,
            allow_nan=False,
        )
