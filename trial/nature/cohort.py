"""The subjects before their courses are drawn: arrivals, strata, arms, baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from . import bolero2
from .accrual import Arrivals, arms_in_order, fitted_strata, free_strata, stratum_sizes
from .baseline import baselines
from .bolero2 import COUNTS, COURSES, EVE, PBO
from .central import pick
from .course import COURSE_COLUMNS, Schedule, schedule
from .model import Answer
from .streams import COURSE_PHASE, Bools, Floats, Ints, table
from .treatment import Group

SEASONED_DAYS = 30
"""A subject who never took a dose was randomized at least this long before the cut."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """Everything known before the courses are drawn; ``arms`` are None when they do not matter."""

    seed: int
    arrivals: Arrivals
    strata: Ints
    arms: tuple[str | None, ...]
    groups: tuple[Group, ...]
    rows: tuple[dict[str, Answer], ...]

    @property
    def measurable(self) -> Bools:
        """Subjects with measurable disease."""
        return np.array([row["measurable_disease"] == "yes" for row in self.rows])


def check_lists(arms_by_stratum: Mapping[str, Sequence[str]]) -> None:
    """Raises ValueError when a stratum has no list or a list holds an unknown code."""
    for key in (bolero2.stratum_key(*answers) for answers in bolero2.STRATA):
        if key not in arms_by_stratum:
            raise ValueError(f"arms_by_stratum has no list for {key!r}; give all four strata")
        if strange := set(arms_by_stratum[key]) - {EVE, PBO}:
            raise ValueError(
                f"arms_by_stratum[{key!r}] holds {len(strange)} unknown arm code(s); "
                f"use {EVE!r} and {PBO!r}"
            )


def cohort_by_arm(
    seed: int, arrivals: Arrivals, arms_by_stratum: Mapping[str, Sequence[str]]
) -> Cohort:
    """Subjects who follow the list. With 724 of them the published counts become targets."""
    check_lists(arms_by_stratum)
    subjects = arrivals.day.size
    strata = fitted_strata(arrivals.draws["stratum"], stratum_sizes(arms_by_stratum, subjects))
    arms = arms_in_order(arms_by_stratum, strata)
    exact = subjects == bolero2.SUBJECTS
    groups = tuple(
        Group(arm, np.array([a == arm for a in arms]), COUNTS[arm] if exact else None, COURSES[arm])
        for arm in (EVE, PBO)
    )
    rows = baselines(arrivals.draws, strata, tuple((g.arm or "", g.rows) for g in groups))
    return Cohort(seed, arrivals, strata, tuple(arms), groups, tuple(rows))


def cohort_without_arms(seed: int, arrivals: Arrivals) -> Cohort:
    """Subjects whose strata, baseline and course come from their own numbers only."""
    subjects = arrivals.day.size
    strata = free_strata(arrivals.draws["stratum"])
    everybody = Group(None, np.ones(subjects, dtype=np.bool_), None, bolero2.COMMON_COURSE)
    rows = baselines(arrivals.draws, strata, ())
    return Cohort(seed, arrivals, strata, (None,) * subjects, (everybody,), tuple(rows))


def _never_dosed(cohort: Cohort, draws: Mapping[str, Floats]) -> Bools:
    key, never = draws["never_dosed"], np.zeros(cohort.strata.size, dtype=np.bool_)
    seasoned = cohort.arrivals.horizon >= SEASONED_DAYS
    for group in cohort.groups:
        if group.counts is None:
            never |= group.rows & seasoned & (key < bolero2.NEVER_DOSED_SHARE)
        else:
            never |= pick(key, group.rows & seasoned, group.counts.never_dosed)
    return never


def drawn(cohort: Cohort, attempt: int) -> tuple[dict[str, Floats], Schedule]:
    """The numbers of one attempt and the observation plan that goes with them."""
    draws = table(cohort.seed, COURSE_PHASE + attempt, cohort.strata.size, COURSE_COLUMNS)
    plan = schedule(draws, cohort.arrivals, cohort.strata, _never_dosed(cohort, draws))
    return draws, plan
