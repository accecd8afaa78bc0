"""Doses, stops of the two drugs, drop-out, new therapy and survival contacts, as arrays of days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from . import bolero2
from .bolero2 import STOP_REASONS, Counts, Course
from .central import pick
from .course import NEVER, Progress, Schedule
from .streams import Bools, Floats, Ints

PROGRESSION, ADVERSE_EVENT, CONSENT, LOST, PHYSICIAN, DEATH = range(len(STOP_REASONS))
CONTACT_EVERY_DAYS = 84


@dataclass(frozen=True, slots=True)
class Group:
    """Subjects who share targets (an arm), or everybody when the arm does not matter."""

    arm: str | None
    rows: Bools
    counts: Counts | None
    course: Course


@dataclass(frozen=True, slots=True)
class Treatment:
    """Days from randomization (NEVER if it does not happen) and reasons as indices."""

    handed_over: Ints
    first_dose: Ints
    drug_stop: Ints
    drug_reason: Ints
    exemestane_stop: Ints
    exemestane_reason: Ints
    new_therapy: Ints
    withdrawal: Ints
    lost: Bools


def _doses(arrival: Mapping[str, Floats], plan: Schedule) -> tuple[Ints, Ints]:
    """Hand-over of the first kit and first dose: most on the day of randomization or the next."""
    late = np.floor(4 * np.maximum(0.0, arrival["hand_over_gap"] - 0.7) / 0.3).astype(np.int64)
    dose = late + np.floor(3 * arrival["dose_gap"] ** 2).astype(np.int64)
    never = plan.never_dosed
    # of those who never took a dose, some had the kit in their hands
    handed = np.where(never & (arrival["dose_gap"] < 0.5), NEVER, np.where(never, 0, late))
    return handed, np.where(never, NEVER, dose)


def _leavers(draws: Mapping[str, Floats], plan: Schedule, local: Progress) -> tuple[Bools, Ints]:
    """Who leaves without an event, and the reason index."""
    left = ~local.event & (plan.drop_out < NEVER)
    kind = draws["drop_out_kind"]
    reason = np.where(kind < 0.55, CONSENT, np.where(kind < 0.75, LOST, PHYSICIAN))
    return left, np.where(plan.never_dosed, CONSENT, reason)


def _exact_stops(
    draws: Mapping[str, Floats], able: Bools, local: Progress, left: Bools, group: Group
) -> tuple[Bools, Bools]:
    """Adverse-event stops of one arm (both drugs; blinded drug alone), to the exact counts.

    Stops of both drugs without an event make up the published number still on treatment.
    """
    counts = group.counts
    if counts is None:
        raise ValueError("exact stops need the counts of an arm")
    rows = group.rows
    staying = rows & ~local.event & ~left
    free = int(staying.sum()) - counts.on_treatment
    later = counts.exemestane_adverse_event_stops - free
    both = pick(draws["ae_both"], staying & able, free)
    both |= pick(draws["ae_both"], rows & local.event & able, later)
    alone = counts.study_drug_adverse_event_stops - counts.exemestane_adverse_event_stops
    return both, pick(draws["ae"], rows & able & ~both, alone)


def adverse_event_stops(
    draws: Mapping[str, Floats],
    able: Bools,
    local: Progress,
    left: Bools,
    groups: tuple[Group, ...],
) -> tuple[Bools, Bools]:
    """Who stops both drugs, and who the blinded drug alone, for an adverse event."""
    both, alone = np.zeros_like(able), np.zeros_like(able)
    for group in groups:
        if group.counts is not None:
            more_both, more_alone = _exact_stops(draws, able, local, left, group)
        else:
            course, rows = group.course, group.rows & able
            either = rows & (draws["ae"] < course.study_drug_adverse_event_stop)
            ratio = course.exemestane_adverse_event_stop / course.study_drug_adverse_event_stop
            more_both = either & (draws["ae_both"] < ratio)
            more_alone = either & ~more_both
        both, alone = both | more_both, alone | more_alone
    return both, alone


def _new_therapy(
    draws: Mapping[str, Floats],
    plan: Schedule,
    local: Progress,
    left: Bools,
    must: Bools,
    death: Ints,
) -> Ints:
    """First day of another cancer therapy: after progression, or on leaving by a decision."""
    wanted = must | (draws["new_therapy"] < bolero2.NEW_THERAPY_AFTER_PROGRESSION)
    soon = local.day + 5 + np.floor(8 * draws["therapy_gap"]).astype(np.int64)
    later = local.day + 7 + np.floor(28 * draws["therapy_gap"]).astype(np.int64)
    after = np.where(must, soon, later)
    start = np.where(local.progressed & wanted, after, NEVER)
    start = np.where(left, plan.drop_out + 1 + np.floor(10 * draws["therapy_gap"]), start)
    possible = (start <= plan.horizon) & (start < death)
    return np.where(possible, start, NEVER).astype(np.int64)


def treat(
    arrival: Mapping[str, Floats],
    draws: Mapping[str, Floats],
    plan: Schedule,
    local: Progress,
    must_change: Bools,
    death: Ints,
    groups: tuple[Group, ...],
) -> Treatment:
    """Treatment of all subjects. ``must_change``: died after a progression not confirmed."""
    handed, dose = _doses(arrival, plan)
    left, why_left = _leavers(draws, plan, local)
    end = np.where(local.event, local.day, np.where(left, plan.drop_out, NEVER))
    why = np.where(local.progressed, PROGRESSION, np.where(local.died, DEATH, why_left))
    length = np.minimum(end, plan.horizon) - dose
    both, alone = adverse_event_stops(draws, length >= 21, local, left, groups)
    ill = dose + 7 + np.floor((length - 14) * draws["ae_day"]).astype(np.int64)
    ill_exemestane = np.minimum(
        ill + np.floor(8 * draws["ae_gap"]).astype(np.int64), dose + length - 1
    )
    treated = ~plan.never_dosed
    drug = np.where(both | alone, ill, end)
    exemestane = np.where(both, ill_exemestane, end)
    switched = left & (why_left == PHYSICIAN)
    return Treatment(
        handed_over=handed,
        first_dose=dose,
        drug_stop=np.where(treated, drug, NEVER),
        drug_reason=np.where(both | alone, ADVERSE_EVENT, why),
        exemestane_stop=np.where(treated, exemestane, NEVER),
        exemestane_reason=np.where(both, ADVERSE_EVENT, why),
        new_therapy=_new_therapy(draws, plan, local, switched, must_change, death),
        withdrawal=np.where(left & (why_left == CONSENT), plan.drop_out, NEVER),
        lost=left & (why_left == LOST),
    )


def contacts(
    draws: Mapping[str, Floats], plan: Schedule, local: Progress, treatment: Treatment, death: Ints
) -> Ints:
    """Days of up to three survival contacts after the assessments ended, shape (subjects, 3)."""
    decided = treatment.drug_reason == PHYSICIAN
    start = np.where(
        local.progressed, local.day, np.where(decided, treatment.exemestane_stop, NEVER)
    )
    nth = np.arange(1, draws["contact"].shape[1] + 1)
    wobble = np.floor(15 * draws["contact"]).astype(np.int64) - 7
    on = start[:, None] + nth * CONTACT_EVERY_DAYS + wobble
    possible = (on <= plan.horizon[:, None]) & (on < death[:, None])
    return np.where(possible, on, NEVER)
