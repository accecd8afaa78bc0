"""How many subjects are randomized, and which limits of the study count a subject.

The count is kept by the database: one row for each centre and combination of factor levels
(`Tally`), raised when a subject is randomized. Every cap is a sum over a few hundred of these rows,
however many subjects there are, and a cap may be changed while the study runs.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from enrolment.models import Subject, Tally
from iwrs.definition.caps import Place, counts, group_of
from iwrs.definition.model import Cap
from iwrs.models import Study

STUDY = ""  # key of the limit of the whole study, `study.max_subjects`

# Rows of `enrolment_tally t` with `enrolment_centre c`, as (text, parameters).
Condition = tuple[str, list[Any]]


@dataclass(frozen=True)
class Limit:
    """A limit that counts one subject, and a condition for those who are counted with it.

    `at_centre`: all of them are at the subject's own centre, whose lock the act holds.
    """

    key: str
    most: int
    condition: str
    values: list[Any]
    at_centre: bool


def limits_of(subject: Subject) -> list[Limit]:
    """The limits of the study that count this subject, the study's own first."""
    definition = subject.study.definition
    centre = subject.centre
    place = Place(subject.strata, centre.country_code, centre.number)
    return [
        Limit(STUDY, definition.study.max_subjects, "true", [], at_centre=False),
        *(_limit(cap, subject) for cap in definition.caps if counts(cap, place)),
    ]


def _limit(cap: Cap, subject: Subject) -> Limit:
    conditions: list[Condition] = [
        ("t.levels ->> %s = ANY(%s)", [factor, list(levels)])
        for factor, levels in cap.where.items()
    ]
    if cap.countries:
        conditions.append(("c.country_code = ANY(%s)", [list(cap.countries)]))
    if cap.centres:
        conditions.append(("c.number = ANY(%s)", [list(cap.centres)]))
    if cap.each == "centre":
        conditions.append(("c.id = %s", [subject.centre_id]))
    elif cap.each == "country":
        conditions.append(("c.country_code = %s", [subject.centre.country_code]))
    elif cap.each == "stratum":
        conditions += [("t.levels ->> %s = %s", [*pair]) for pair in subject.strata.items()]
    return Limit(
        cap.key,
        cap.limit,
        " AND ".join(text for text, _ in conditions) or "true",
        [value for _, values in conditions for value in values],
        at_centre=cap.each == "centre" or len(cap.centres) == 1,
    )


@dataclass(frozen=True)
class Filling:
    """How full a cap is: the fullest of its groups, and how many groups are full."""

    cap: Cap
    group: str
    randomized: int
    full: int


def fillings(study: Study) -> list[Filling]:
    """How full each cap of a study is. For people of the whole study, never for a site."""
    rows = list(Tally.objects.filter(centre__study=study).select_related("centre"))
    return [_filling(cap, rows) for cap in study.definition.caps]


def _filling(cap: Cap, rows: list[Tally]) -> Filling:
    taken: Counter[str] = Counter()
    for row in rows:
        place = Place(row.levels, row.centre.country_code, row.centre.number)
        if counts(cap, place):
            taken[group_of(cap, place)] += row.randomized
    group, most = max(taken.items(), key=lambda each: (each[1], each[0]), default=("", 0))
    return Filling(cap, group, most, sum(n >= cap.limit for n in taken.values()))
