"""Entry: one seed, one list, one simulated trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from . import bolero2
from .accrual import Arrivals, arms_in_order, arrive, fitted_strata, free_strata, stratum_sizes
from .baseline import baselines
from .bolero2 import COUNTS, COURSES, EVE, PBO
from .calibrate import fits
from .central import (
    DEFAULT_EARLIER_SHARE,
    CentralCourse,
    NotFeasibleError,
    central_fits,
    death_days,
    death_gap_for,
    pick,
    review,
)
from .course import (
    COURSE_COLUMNS,
    NEVER,
    Progress,
    Schedule,
    follow,
    latent_days,
    schedule,
    subset,
)
from .emit import Outcome, patients, screen_failures
from .model import Answer, Nature
from .response import attended, reads
from .streams import COURSE_PHASE, TRIAL_PHASE, Bools, Floats, Ints, table, uniforms
from .survival import hazard_ratio, median_months
from .treatment import Group, contacts, treat

ATTEMPTS = 40
GOOD_ENOUGH = 2.0


@dataclass(frozen=True, slots=True)
class Cohort:
    """Everything known before the courses are drawn."""

    seed: int
    arrivals: Arrivals
    strata: Ints
    arms: tuple[str | None, ...]
    groups: tuple[Group, ...]
    rows: tuple[dict[str, Answer], ...]

    @property
    def measurable(self) -> Bools:
        return np.array([row["measurable_disease"] == "yes" for row in self.rows])


@dataclass(frozen=True, slots=True)
class Draft:
    """One attempt: draws, plan, both readers' courses, deaths, and its distance to the targets."""

    draws: dict[str, Floats]
    plan: Schedule
    local: Progress
    central: CentralCourse
    death: Ints
    reached: dict[str, float]
    distance: float


def simulate(
    arms_by_stratum: Mapping[str, Sequence[str]],
    *,
    seed: int,
    subjects: int = bolero2.SUBJECTS,
    centres: int = bolero2.CENTRES,
    arm_matters: bool = True,
) -> Nature:
    """A whole trial, the same for the same arguments.

    ``arms_by_stratum``: arm codes ("EVE", "PBO") in list order for each key such as
    "visceral=yes|sensitive=no"; the k-th subject randomized in a stratum gets the k-th.
    With 724 subjects the counts of ``bolero2.COUNTS`` are met exactly; with another number the
    courses are drawn freely. With ``arm_matters=False`` the lists are not read at all.

    Raises ValueError for sizes or lists that cannot be used.
    """
    if subjects < 1 or seed < 0:
        raise ValueError(f"subjects={subjects}, seed={seed}: give a subject or more, and seed >= 0")
    arrivals = arrive(seed, subjects, centres)
    if arm_matters:
        _check_lists(arms_by_stratum)
        cohort = _cohort_by_arm(seed, arrivals, arms_by_stratum)
    else:
        cohort = _cohort_without_arms(seed, arrivals)
    fitted = all(group.counts is not None for group in cohort.groups)
    draft, outcome = _best(cohort) if fitted else _free(cohort)
    return Nature(
        cut=bolero2.CUT,
        centres=tuple(sorted(arrivals.centres, key=lambda centre: centre.number)),
        patients=patients(
            arrivals, outcome, cohort.strata, cohort.arms, _deviations(seed, subjects), cohort.rows
        ),
        screen_failures=screen_failures(
            seed,
            round(subjects * bolero2.SCREEN_FAILURES_PER_SUBJECT),
            arrivals,
            cohort.rows,
            cohort.strata,
        ),
        reached=draft.reached if fitted else {},
    )


def _check_lists(arms_by_stratum: Mapping[str, Sequence[str]]) -> None:
    for key in (bolero2.stratum_key(*answers) for answers in bolero2.STRATA):
        if key not in arms_by_stratum:
            raise ValueError(f"arms_by_stratum has no list for {key!r}; give all four strata")
        if strange := set(arms_by_stratum[key]) - {EVE, PBO}:
            raise ValueError(
                f"arms_by_stratum[{key!r}] holds {len(strange)} unknown arm code(s); "
                f"use {EVE!r} and {PBO!r}"
            )


def _cohort_by_arm(
    seed: int, arrivals: Arrivals, arms_by_stratum: Mapping[str, Sequence[str]]
) -> Cohort:
    subjects = arrivals.day.size
    sizes = stratum_sizes(arms_by_stratum, subjects)
    strata = fitted_strata(arrivals.draws["stratum"], sizes)
    arms = arms_in_order(arms_by_stratum, strata)
    exact = subjects == bolero2.SUBJECTS
    groups = tuple(
        Group(arm, np.array([a == arm for a in arms]), COUNTS[arm] if exact else None, COURSES[arm])
        for arm in (EVE, PBO)
    )
    rows = baselines(arrivals.draws, strata, tuple((g.arm or "", g.rows) for g in groups))
    return Cohort(seed, arrivals, strata, tuple(arms), groups, tuple(rows))


def _cohort_without_arms(seed: int, arrivals: Arrivals) -> Cohort:
    subjects = arrivals.day.size
    strata = free_strata(arrivals.draws["stratum"])
    everybody = Group(None, np.ones(subjects, dtype=np.bool_), None, bolero2.COMMON_COURSE)
    rows = baselines(arrivals.draws, strata, ())
    return Cohort(seed, arrivals, strata, (None,) * subjects, (everybody,), tuple(rows))


def _deviations(seed: int, subjects: int) -> frozenset[int]:
    """The two subjects randomized without an HER2 result."""
    order = np.argsort(uniforms(seed, TRIAL_PHASE, 1, subjects), kind="stable")
    return frozenset(order[:2].tolist())


def _never_dosed(cohort: Cohort, draws: Mapping[str, Floats]) -> Bools:
    key, never = draws["never_dosed"], np.zeros(cohort.strata.size, dtype=np.bool_)
    seasoned = cohort.arrivals.horizon >= 30
    for group in cohort.groups:
        if group.counts is None:
            never |= group.rows & (key < bolero2.NEVER_DOSED_SHARE)
        else:
            never |= pick(key, group.rows & seasoned, group.counts.never_dosed)
    return never


def _drawn(cohort: Cohort, attempt: int) -> tuple[dict[str, Floats], Schedule]:
    draws = table(cohort.seed, COURSE_PHASE + attempt, cohort.strata.size, COURSE_COLUMNS)
    plan = schedule(draws, cohort.arrivals, cohort.strata, _never_dosed(cohort, draws))
    return draws, plan


def _free(cohort: Cohort) -> tuple[Draft, Outcome]:
    """Courses with the standing parameters: each row depends on its own numbers only."""
    draws, plan = _drawn(cohort, 0)
    latent, gap = np.empty(cohort.strata.size), np.empty(cohort.strata.size)
    confirmed = np.zeros(cohort.strata.size, dtype=np.bool_)
    for group in cohort.groups:
        c, rows = group.course, group.rows
        latent[rows] = latent_days(draws, plan, c.shape, c.scale)[rows]
        gap[rows] = c.death_gap
        confirmed[rows] = draws["confirm"][rows] < c.confirmed
    local = follow(draws, plan, latent)
    central = review(draws, plan, local, confirmed & local.progressed, DEFAULT_EARLIER_SHARE)
    draft = Draft(draws, plan, local, central, death_days(draws, local, gap), {}, 0.0)
    return draft, _outcome(cohort, draft)


def _outcome(cohort: Cohort, draft: Draft) -> Outcome:
    """Treatment, reads and contacts that go with a draft; raises NotFeasibleError."""
    draws, plan, local, central = draft.draws, draft.plan, draft.local, draft.central
    death = np.where(draft.death <= plan.horizon, draft.death, NEVER)
    must_change = local.progressed & (central.scan_index < 0) & (death < NEVER)
    treatment = treat(
        cohort.arrivals.draws, draws, plan, local, must_change, death, cohort.groups
    )
    codes = reads(draws, plan, local, central, cohort.measurable, cohort.groups)
    return Outcome(
        plan=plan,
        treatment=treatment,
        there=attended(plan, local),
        local_codes=codes[0],
        central_codes=codes[1],
        death=death,
        contacts=contacts(draws, plan, local, treatment, death),
        read_lag=draws["read_lag"],
    )


def _best(cohort: Cohort) -> tuple[Draft, Outcome]:
    """The first attempt that is good enough, else the nearest of all attempts."""
    best: tuple[Draft, Outcome] | None = None
    for attempt in range(ATTEMPTS):
        try:
            draft = _attempt(cohort, attempt)
            if best is not None and draft.distance >= best[0].distance:
                continue
            best = draft, _outcome(cohort, draft)
        except NotFeasibleError:
            continue
        if draft.distance <= GOOD_ENOUGH:
            break
    if best is None:
        raise ValueError(
            f"seed={cohort.seed}: none of {ATTEMPTS} attempts met the published counts with this "
            "list; give another seed"
        )
    return best


def _joined(parts: Sequence[Progress | CentralCourse], cohort: Cohort, names: Sequence[str]) -> dict:
    """Columns of the arms put back into the order of randomization."""
    joined = {}
    for name in names:
        first = getattr(parts[0], name)
        column = np.empty(cohort.strata.size, dtype=first.dtype)
        for group, part in zip(cohort.groups, parts, strict=True):
            column[group.rows] = getattr(part, name)
        joined[name] = column
    return joined


def _attempt(cohort: Cohort, attempt: int) -> Draft:
    """One set of draws, calibrated: local counts and medians, hazard ratio, then central."""
    draws, plan = _drawn(cohort, attempt)
    parts = [subset(draws, plan, group.rows) for group in cohort.groups]
    targets = [COUNTS[group.arm or ""] for group in cohort.groups]
    candidates = [fits(*part, target) for part, target in zip(parts, targets, strict=True)]
    local, apart_local, reached = _nearest_local(cohort, candidates)
    central_candidates = [
        central_fits(*part, one, target)
        for part, one, target in zip(parts, local, targets, strict=True)
    ]
    central, apart_central, reached_central = _nearest_central(cohort, central_candidates)
    death = np.full(cohort.strata.size, NEVER)
    for group, part, one, target in zip(cohort.groups, parts, local, targets, strict=True):
        gap = death_gap_for(*part, one, target.deaths)
        death[group.rows] = death_days(part[0], one, gap)
    return Draft(
        draws,
        plan,
        Progress(**_joined(local, cohort, Progress.__slots__)),
        CentralCourse(**_joined(central, cohort, ("scan_index", "day", "last")), median=np.nan),
        death,
        {**reached, **reached_central, "attempt": float(attempt)},
        apart_local + apart_central,
    )
