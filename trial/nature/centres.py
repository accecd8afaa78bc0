"""Invented centres in 24 countries.

The names are made up from invented words; any likeness to a real hospital is chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np

from .model import CentreSpec
from .streams import TRIAL_PHASE, Floats, Ints, uniforms

# code, name, centres of 189, time zones used in turn
COUNTRIES: tuple[tuple[str, str, int, tuple[str, ...]], ...] = (
    (
        "US",
        "United States",
        52,
        ("America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles"),
    ),
    ("CA", "Canada", 9, ("America/Toronto", "America/Vancouver")),
    ("BR", "Brazil", 7, ("America/Sao_Paulo",)),
    ("GB", "United Kingdom", 7, ("Europe/London",)),
    ("FR", "France", 12, ("Europe/Paris",)),
    ("BE", "Belgium", 8, ("Europe/Brussels",)),
    ("NL", "Netherlands", 4, ("Europe/Amsterdam",)),
    ("DE", "Germany", 14, ("Europe/Berlin",)),
    ("AT", "Austria", 5, ("Europe/Vienna",)),
    ("ES", "Spain", 10, ("Europe/Madrid",)),
    ("IT", "Italy", 12, ("Europe/Rome",)),
    ("CZ", "Czech Republic", 4, ("Europe/Prague",)),
    ("HU", "Hungary", 4, ("Europe/Budapest",)),
    ("PL", "Poland", 4, ("Europe/Warsaw",)),
    ("SE", "Sweden", 3, ("Europe/Stockholm",)),
    ("NO", "Norway", 2, ("Europe/Oslo",)),
    ("TR", "Turkey", 4, ("Europe/Istanbul",)),
    ("EG", "Egypt", 2, ("Africa/Cairo",)),
    ("TH", "Thailand", 3, ("Asia/Bangkok",)),
    ("HK", "Hong Kong", 2, ("Asia/Hong_Kong",)),
    ("KR", "South Korea", 5, ("Asia/Seoul",)),
    ("JP", "Japan", 10, ("Asia/Tokyo",)),
    ("AU", "Australia", 4, ("Australia/Sydney", "Australia/Perth")),
    ("NZ", "New Zealand", 2, ("Pacific/Auckland",)),
)

# fmt: off
_STEMS = (
    "Velmara", "Ostrel", "Kervane", "Halvorsund", "Brinmoor", "Tessalo",
    "Orvanne", "Lindrake", "Morvessa", "Quillen", "Saravel", "Drosmont",
    "Elvaste", "Farrowby", "Galdriss", "Ivenhall", "Jorvale", "Kastrelle",
    "Lumenna", "Marrowick", "Nerevan", "Olsterby", "Pelgrove", "Rhodenna",
    "Sundermal", "Tarvosa", "Ulverane", "Wexholt", "Yarrendal", "Zelmora",
)
# fmt: on
_KINDS = (
    "University Hospital",
    "Cancer Centre",
    "Oncology Clinic",
    "General Hospital",
    "Breast Institute",
    "Medical Centre",
    "Regional Hospital",
)


def first_subjects(subjects: int, centres: int) -> Ints:
    """Arrival index of the first subject of each centre, increasing.

    Centres open through most of the accrual; an index >= ``subjects`` means that the centre
    opens and enrols nobody.
    """
    spread = np.floor(0.93 * subjects * (np.arange(centres) / centres) ** 1.15).astype(np.int64)
    return np.maximum.accumulate(spread - np.arange(centres)) + np.arange(centres)


def countries_of(centres: int) -> Ints:
    """Country index of each centre in sorted order, in the proportions of the trial."""
    weights = np.array([row[2] for row in COUNTRIES], dtype=float)
    shares = weights * centres / weights.sum()
    counts = np.floor(shares).astype(np.int64)
    missing = centres - int(counts.sum())
    counts[np.argsort(counts - shares, kind="stable")[:missing]] += 1
    return np.repeat(np.arange(len(COUNTRIES)), counts)


def _names(centres: int, draws: Floats) -> list[str]:
    every = [f"{stem} {kind}" for kind in _KINDS for stem in _STEMS]
    order = np.argsort(draws[: len(every)], kind="stable")
    return [every[i] for i in order[:centres]]


def open_centres(seed: int, centres: int, first_screening: Sequence[date]) -> list[CentreSpec]:
    """Centre specifications in order of opening; centre j opens before ``first_screening[j]``."""
    limit = len(_STEMS) * len(_KINDS)
    if not 1 <= centres <= limit:
        raise ValueError(f"centres={centres}: ask for between 1 and {limit} centres")
    draws = uniforms(seed, TRIAL_PHASE, 0, limit + 3 * centres)
    country = countries_of(centres)[np.argsort(draws[limit : limit + centres], kind="stable")]
    names, gaps = _names(centres, draws), draws[limit + centres :].reshape(centres, 2)
    seen: dict[int, int] = {}
    opened = []
    for j, (home, screening) in enumerate(zip(country.tolist(), first_screening, strict=True)):
        seen[home] = seen.get(home, 0) + 1
        code, label, _, zones = COUNTRIES[home]
        activated = screening - timedelta(days=10 + int(50 * gaps[j, 0]))
        opened.append(
            CentreSpec(
                number=f"{home + 1:02d}{seen[home]:02d}",
                name=names[j],
                country_code=code,
                country_name=label,
                time_zone=zones[(seen[home] - 1) % len(zones)],
                ethics_approved_on=activated - timedelta(days=14 + int(90 * gaps[j, 1])),
                activated_on=activated,
            )
        )
    return opened
