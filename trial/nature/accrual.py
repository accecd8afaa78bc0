"""Who arrives when and where, and the strata of the arrivals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from . import bolero2
from .centres import first_subjects, open_centres
from .model import CentreSpec
from .streams import ARRIVAL_PHASE, Floats, Ints, table

RAMP = 1.55
"""Share randomized by time t of the accrual is t**RAMP: slow start, median follow-up near 7.6
months at the cut, as published."""

ARRIVAL_COLUMNS = {
    **dict.fromkeys(("arrival", "centre", "hour", "screen_gap", "screen_hour", "consent_gap"), 1),
    **dict.fromkeys(("stratum", "hand_over_gap", "dose_gap"), 1),
    **dict.fromkeys(("age", "race", "ecog", "measurable", "lung", "liver", "bone", "sites"), 1),
    **dict.fromkeys(("recent", "dfi", "chemotherapy", "therapies"), 1),
    **dict.fromkeys(("tamoxifen", "fulvestrant", "nsai_recent"), 1),
}


@dataclass(frozen=True, slots=True)
class Arrivals:
    """Arrivals in order of randomization: day numbers are days since FIRST_RANDOMIZED."""

    draws: dict[str, Floats]
    day: Ints
    centre: Ints
    randomized_at: list[datetime]
    screened_at: list[datetime]
    consent_on: list[date]
    centres: list[CentreSpec]

    @property
    def horizon(self) -> Ints:
        """Days from randomization to the data cut."""
        return np.int64((bolero2.CUT - bolero2.FIRST_RANDOMIZED).days) - self.day


def working_day(days: Ints) -> Ints:
    """Moves a Saturday to Friday and a Sunday to Monday (day 0 = FIRST_RANDOMIZED)."""
    weekday = (days + bolero2.FIRST_RANDOMIZED.weekday()) % 7
    return days - (weekday == 5) + (weekday == 6)


def office_instant(on: date, zone: str, share: float) -> datetime:
    """An instant in office hours whose calendar date is ``on`` both at the centre and in UTC.

    Otherwise a subject of Auckland would have one date in the notes and another in the database.
    """
    noon = datetime.combine(on, time(12), ZoneInfo(zone))
    offset = noon.utcoffset() or timedelta()
    opens = max(9 * 3600, int(offset.total_seconds()) + 60)
    closes = min(17 * 3600 + 1800, 24 * 3600 + int(offset.total_seconds()) - 60)
    second = opens + int(share * (closes - opens))
    midnight = datetime.combine(on, time(), UTC)
    return midnight + timedelta(seconds=second) - offset


def _homes(draws: Floats, subjects: int, centres: int) -> Ints:
    """Centre of each arrival: the one that opens with it, else one of those already open."""
    first = first_subjects(subjects, centres)
    opened = np.searchsorted(first, np.arange(subjects), side="right")
    home = np.floor(draws**1.2 * opened).astype(np.int64)
    opens_now = first[first < subjects]
    home[opens_now] = np.arange(opens_now.size)
    return home


def _first_screenings(home: Ints, screened: list[date], centres: int) -> list[date]:
    """Earliest screening at each centre; the last arrival's day for a centre without subjects."""
    first = [max(screened)] * centres
    for where, on in zip(home.tolist(), screened, strict=True):
        first[where] = min(first[where], on)
    return first


def arrive(seed: int, subjects: int, centres: int) -> Arrivals:
    """Draws all arrivals; nothing here depends on an arm."""
    draws = table(seed, ARRIVAL_PHASE, subjects, ARRIVAL_COLUMNS)
    span = (bolero2.LAST_RANDOMIZED - bolero2.FIRST_RANDOMIZED).days
    quantile = (np.arange(subjects) + draws["arrival"]) / subjects
    quantile[0] = 0.0  # the first subject opens the accrual
    day = working_day(np.floor(span * quantile ** (1 / RAMP)).astype(np.int64))
    screen_day = working_day(day - 2 - np.floor(19 * draws["screen_gap"]).astype(np.int64))
    consent_day = screen_day - np.floor(5 * draws["consent_gap"] ** 2).astype(np.int64)
    home = _homes(draws["centre"], subjects, centres)

    def dates(days: Ints) -> list[date]:
        return [bolero2.FIRST_RANDOMIZED + timedelta(days=d) for d in days.tolist()]

    specs = open_centres(seed, centres, _first_screenings(home, dates(consent_day), centres))
    zones = [specs[j].time_zone for j in home.tolist()]
    at = list(map(office_instant, dates(day), zones, draws["hour"].tolist()))
    screened = list(map(office_instant, dates(screen_day), zones, draws["screen_hour"].tolist()))
    order = np.array(sorted(range(subjects), key=lambda i: (at[i], i)), dtype=np.int64)
    consent = dates(consent_day)
    return Arrivals(
        draws={name: column[order] for name, column in draws.items()},
        day=day[order],
        centre=home[order],
        randomized_at=_apart([at[i] for i in order]),
        screened_at=[screened[i] for i in order],
        consent_on=[consent[i] for i in order],
        centres=specs,
    )


def _apart(instants: list[datetime]) -> list[datetime]:
    """The same sorted instants, no two equal, so that the order of allocation is certain."""
    spaced = [instants[0]]
    for instant in instants[1:]:
        spaced.append(max(instant, spaced[-1] + timedelta(seconds=1)))
    return spaced


def free_strata(draws: Floats) -> Ints:
    """Stratum index of each subject from the subject's own number and the published shares."""
    v, s = bolero2.VISCERAL_SHARE, bolero2.SENSITIVE_SHARE
    edges = np.cumsum([v * s, v * (1 - s), (1 - v) * s])
    return np.searchsorted(edges, draws, side="right").astype(np.int64)


def stratum_sizes(arms_by_stratum: Mapping[str, Sequence[str]], subjects: int) -> Ints:
    """Sizes of the four strata, so that the list gives the published number on everolimus.

    Searched among all sizes whose margins round to the published 56% and 84%: nearest number on
    everolimus first, then nearest margins, then nearest to independent factors.
    """
    taken = [
        np.concatenate([[0], np.cumsum([a == bolero2.EVE for a in arms_by_stratum[key]])])
        for key in (bolero2.stratum_key(*s) for s in bolero2.STRATA)
    ]
    v, s = bolero2.VISCERAL_SHARE * subjects, bolero2.SENSITIVE_SHARE * subjects
    slack = 0.0045 * subjects + 1
    visceral = np.arange(np.ceil(v - slack), np.floor(v + slack) + 1)
    sensitive = np.arange(np.ceil(s - slack), np.floor(s + slack) + 1)
    both = np.arange(
        np.ceil(v * s / subjects - 10 * slack), np.floor(v * s / subjects + 10 * slack)
    )
    grid = np.meshgrid(visceral, sensitive, both, indexing="ij")
    vis, sen, yy = (g.ravel().astype(np.int64) for g in grid)
    sizes = np.stack([yy, vis - yy, sen - yy, subjects - vis - sen + yy])
    longest = np.array([len(t) - 1 for t in taken])[:, None]
    sizes = sizes[:, ((sizes >= 0) & (sizes <= longest)).all(axis=0)]
    if sizes.shape[1] == 0:
        raise ValueError(
            f"arms_by_stratum: the lists (lengths {longest.ravel().tolist()}) are too short for "
            f"{subjects} subjects; give at least {int(v * s / subjects + slack)} entries each"
        )
    eve = sum(t[n] for t, n in zip(taken, sizes, strict=True))
    off_target = np.abs(eve - round(subjects * bolero2.EVE_SUBJECTS / bolero2.SUBJECTS))
    off_margin = np.abs(sizes[0] + sizes[1] - v) + np.abs(sizes[0] + sizes[2] - s)
    best = np.lexsort((np.abs(sizes[0] - v * s / subjects), off_margin, off_target))[0]
    return sizes[:, best]


def fitted_strata(draws: Floats, sizes: Ints) -> Ints:
    """Stratum index of each subject: the fixed sizes, in the random order of ``draws``."""
    strata = np.empty(draws.size, dtype=np.int64)
    strata[np.argsort(draws, kind="stable")] = np.repeat(np.arange(4), sizes)
    return strata


def arms_in_order(arms_by_stratum: Mapping[str, Sequence[str]], strata: Ints) -> list[str]:
    """Arm of each subject: the k-th of a stratum gets the k-th entry of the stratum's list."""
    arms = [""] * strata.size
    for s, answers in enumerate(bolero2.STRATA):
        entries = arms_by_stratum[bolero2.stratum_key(*answers)]
        for k, i in enumerate(np.flatnonzero(strata == s).tolist()):
            arms[i] = entries[k]
    return arms
