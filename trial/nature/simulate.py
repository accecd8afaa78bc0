"""Entry: one seed, one list, one simulated trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from . import bolero2
from .accrual import arrive
from .central import DEFAULT_EARLIER_SHARE, death_days, review
from .cohort import Cohort, cohort_by_arm, cohort_without_arms, drawn
from .course import NEVER, NotFeasibleError, follow, latent_days
from .emit import Outcome, patients, screen_failures
from .fit import Draft, attempt
from .model import Nature
from .response import attended, reads
from .streams import TRIAL_PHASE, uniforms
from .treatment import contacts, treat

ATTEMPTS = 40
GOOD_ENOUGH = 2.0


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
    if subjects < 1 or centres < 1 or seed < 0:
        raise ValueError(
            f"subjects={subjects}, centres={centres}, seed={seed}: give at least one subject and "
            "one centre, and a seed of 0 or more"
        )
    arrivals = arrive(seed, subjects, centres)
    if arm_matters:
        cohort = cohort_by_arm(seed, arrivals, arms_by_stratum)
    else:
        cohort = cohort_without_arms(seed, arrivals)
    exact = all(group.counts is not None for group in cohort.groups)
    draft, outcome = _best(cohort) if exact else _free(cohort)
    rows, strata = cohort.rows, cohort.strata
    failures = round(subjects * bolero2.SCREEN_FAILURES_PER_SUBJECT)
    return Nature(
        cut=bolero2.CUT,
        centres=tuple(sorted(arrivals.centres, key=lambda centre: centre.number)),
        patients=patients(
            arrivals, outcome, strata, cohort.arms, _deviations(seed, subjects), rows
        ),
        screen_failures=screen_failures(seed, failures, arrivals, rows, strata),
        reached=draft.reached,
    )


def _deviations(seed: int, subjects: int) -> frozenset[int]:
    """The two subjects randomized without an HER2 result."""
    order = np.argsort(uniforms(seed, TRIAL_PHASE, 1, subjects), kind="stable")
    return frozenset(order[:2].tolist())


def _free(cohort: Cohort) -> tuple[Draft, Outcome]:
    """Courses with the standing parameters: each row depends on its own numbers only."""
    draws, plan = drawn(cohort, 0)
    latent, gap = np.empty(cohort.strata.size), np.empty(cohort.strata.size)
    confirmed = np.zeros(cohort.strata.size, dtype=np.bool_)
    for group in cohort.groups:
        course, rows = group.course, group.rows
        latent[rows] = latent_days(draws, plan, course.shape, course.scale)[rows]
        gap[rows] = course.death_gap
        confirmed[rows] = draws["confirm"][rows] < course.confirmed
    local = follow(draws, plan, latent)
    central = review(draws, plan, local, confirmed & local.progressed, DEFAULT_EARLIER_SHARE)
    draft = Draft(draws, plan, local, central, death_days(draws, local, gap), {}, 0.0)
    return draft, _outcome(cohort, draft)


def _best(cohort: Cohort) -> tuple[Draft, Outcome]:
    """The first attempt that is good enough, else the nearest of all attempts."""
    best: tuple[Draft, Outcome] | None = None
    for number in range(ATTEMPTS):
        try:
            draft = attempt(cohort, number, within=np.inf if best is None else best[0].distance)
            if best is not None and draft.distance >= best[0].distance:
                continue
            best = draft, _outcome(cohort, draft)
        except NotFeasibleError:
            continue
        if draft.distance <= GOOD_ENOUGH:
            break
    if best is None:
        raise ValueError(
            f"seed={cohort.seed}: none of {ATTEMPTS} attempts met the published counts with these "
            "lists; give another seed"
        )
    return best


def _outcome(cohort: Cohort, draft: Draft) -> Outcome:
    """Treatment, reads and contacts that go with a draft; raises NotFeasibleError."""
    draws, plan, local, central = draft.draws, draft.plan, draft.local, draft.central
    death = np.where(draft.death <= plan.horizon, draft.death, NEVER)
    must_change = local.progressed & (central.scan_index < 0) & (death < NEVER)
    treatment = treat(cohort.arrivals.draws, draws, plan, local, must_change, death, cohort.groups)
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
