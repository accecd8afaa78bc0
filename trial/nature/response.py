"""Reads of each scan by the local and the central reader, as codes into ``RESPONSES``."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .central import CentralCourse, evaluable, pick
from .course import Progress, Schedule
from .streams import Bools, Floats, Ints
from .treatment import Group

RESPONSES = ("NE", "SD", "PR", "CR", "PD")
_NE, _SD, _PR, _CR, _PD = range(5)


def attended(plan: Schedule, local: Progress) -> Bools:
    """Scans that took place: up to the event, drop-out or the cut; shape (subjects, scans)."""
    before_limit = plan.scan < np.minimum(plan.limit, plan.horizon + 1)[:, None]
    before_event = np.where(
        local.died[:, None], plan.scan < local.day[:, None], plan.scan <= local.day[:, None]
    )
    return before_limit & before_event


def _responders(
    draws: Mapping[str, Floats],
    local_good: Ints,
    central_good: Ints,
    measurable: Bools,
    groups: tuple[Group, ...],
) -> tuple[Bools, Bools, Bools]:
    """Local responders, those of them complete, and central responders."""
    local, complete, central = (np.zeros(measurable.size, dtype=np.bool_) for _ in range(3))
    for group in groups:
        able = group.rows & measurable & (local_good >= 3)
        if group.counts is None:
            mine = able & (draws["respond"] < group.course.responds)
            local |= mine
            central |= mine & (central_good >= 3) & (draws["central_respond"] < 0.75)
            continue
        c = group.counts
        mine = pick(draws["respond"], able, c.local_responders)
        both = mine & (central_good >= 3)
        local |= mine
        complete |= pick(draws["complete"], mine & (local_good >= 4), c.local_complete)
        central |= pick(draws["central_respond"], both, min(c.central_responders, int(both.sum())))
    return local, complete, central


def reads(
    draws: Mapping[str, Floats],
    plan: Schedule,
    local: Progress,
    central: CentralCourse,
    measurable: Bools,
    groups: tuple[Group, ...],
) -> tuple[Ints, Ints]:
    """Local and central codes of each attended scan; shape (subjects, scans) each.

    A response lasts until progression and is seen on at least two evaluable scans.
    """
    number = np.arange(plan.scan.shape[1])
    there = attended(plan, local)
    local_good = there & plan.local & ~(number == local.scan_index[:, None])
    usable = there & evaluable(plan, local)
    late = (central.scan_index[:, None] >= 0) & (number >= central.scan_index[:, None])
    central_good = usable & ~late
    responders = _responders(
        draws, local_good.sum(axis=1), central_good.sum(axis=1), measurable, groups
    )
    shifted = [
        np.cumsum(good, axis=1) >= 2 for good in (local_good, central_good)
    ]  # from the second evaluable scan
    codes_local = np.where(local_good, _SD, _NE)
    codes_local[local_good & shifted[0] & responders[0][:, None]] = _PR
    complete = np.cumsum(local_good, axis=1) >= 3
    codes_local[local_good & complete & responders[1][:, None]] = _CR
    codes_local[there & (number == local.scan_index[:, None])] = _PD
    codes_central = np.where(central_good, _SD, _NE)
    codes_central[central_good & shifted[1] & responders[2][:, None]] = _PR
    codes_central[usable & late] = _PD
    return codes_local, codes_central
