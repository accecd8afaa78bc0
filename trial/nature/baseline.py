"""Baseline characteristics near the published table 1.

Fitted: within an arm the uniform numbers are replaced by their ranks, so that each level takes
its published share of the arm. Free: each subject's own number decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from . import bolero2
from .model import Answer
from .streams import Bools, Floats, Ints

YES_NO = ("yes", "no")
UNKNOWN = "unknown"
"""Level of those without an answer: the published shares do not add up to 100. Emitted as None."""
LEVELS: Mapping[str, tuple[str, ...]] = {
    "race": ("white", "black", "asian", "other"),
    "ecog": ("0", "1", "2"),
    "measurable_disease": YES_NO,
    "site_lung": YES_NO,
    "site_liver": YES_NO,
    "site_bone": YES_NO,
    "number_of_metastatic_sites": ("1", "2", "3_or_more"),
    "most_recent_treatment": ("adjuvant", "advanced"),
    "disease_free_interval": (
        "no_adjuvant",
        UNKNOWN,
        "over_24_months",
        "12_to_24_months",
        "under_12_months",
    ),
    "previous_chemotherapy": ("metastatic", "none", "adjuvant_only"),
    "number_of_previous_therapies": ("1", "2", "3_or_more"),
    "previous_tamoxifen": YES_NO,
    "previous_fulvestrant": YES_NO,
    "nsai_most_recent": YES_NO,
}
"""Choice slugs of the baseline questions; the last level of each takes the rest."""

# percent of the levels of LEVELS but the last: everolimus, placebo (table 1)
PERCENT: Mapping[str, tuple[Sequence[float], Sequence[float]]] = {
    "race": ((74, 3, 20), (78, 1, 19)),
    "ecog": ((61.5, 36.3), (60.8, 36.2)),
    "measurable_disease": ((70,), (68,)),
    "site_lung": ((29,), (33,)),
    "site_liver": ((33,), (30,)),
    "site_bone": ((76,), (77,)),
    "number_of_metastatic_sites": ((32, 31.5), (29, 34)),
    "most_recent_treatment": ((21,), (16,)),
    "disease_free_interval": ((31, 6, 56, 5), (31, 5, 54, 6)),
    "previous_chemotherapy": ((26, 30), (26, 34)),
    "number_of_previous_therapies": ((16, 30), (18, 30)),
    "previous_tamoxifen": ((47,), (49,)),
    "previous_fulvestrant": ((17,), (16,)),
    "nsai_most_recent": ((74,), (75,)),
}
_AGES = {bolero2.EVE: (34, 62, 93), bolero2.PBO: (28, 61, 90)}
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Margins:
    """Turns scores into levels. ``groups``: one mask for each arm, or none for a free draw."""

    groups: tuple[tuple[str, Bools], ...]

    def uniform(self, score: Floats, among: Bools | None = None) -> Floats:
        """Score as a number in (0, 1): its rank in the subject's arm, or itself when free."""
        if not self.groups:
            return score
        ranked = np.ones_like(score)
        for _, mask in self.groups:
            inside = np.flatnonzero(mask if among is None else mask & among)
            order = np.argsort(np.argsort(score[inside], kind="stable"), kind="stable")
            ranked[inside] = (order + 0.5) / max(1, mask.sum())
        return ranked

    def levels(self, name: str, score: Floats, among: Bools | None = None) -> Ints:
        """Level index of each subject; subjects outside ``among`` get the last level.

        XX"""
        eve, pbo = (np.cumsum(side) / 100 for side in PERCENT[name])
        placed = self.uniform(score, among)
        edges = np.tile((2 * eve + pbo) / 3, (score.size, 1))
        for arm, mask in self.groups:
            edges[mask] = eve if arm == bolero2.EVE else pbo
        level = (placed[:, None] >= edges).sum(axis=1)
        if among is not None:
            level[~among] = len(LEVELS[name]) - 1
        return level


def _squeeze(score: Floats, factor: float | Floats) -> Floats:
    """A free number made smaller or larger, so that a level is likelier in one group."""
    return np.clip(score * factor, 0, 1 - 1e-12)


def _sites(draws: Mapping[str, Floats], margins: Margins, visceral: Bools) -> dict[str, Ints]:
    """Sites consistent with the visceral stratum, and their number (index 0 = one site)."""
    share = bolero2.VISCERAL_SHARE
    lung = margins.levels("site_lung", _squeeze(draws["lung"], share), visceral)
    # nearly every visceral patient without lung disease has liver disease
    lean = np.where(lung == 1, 0.66 * share, 1.6 * share)
    liver = margins.levels("site_liver", _squeeze(draws["liver"], lean), visceral)
    bone = margins.levels("site_bone", _squeeze(draws["bone"], np.where(visceral, 1.08, 0.9)))
    known = (lung == 0).astype(np.int64) + (liver == 0) + (bone == 0)
    named = margins.levels("number_of_metastatic_sites", (draws["sites"] + known) / 4)
    if not margins.groups:
        named = np.searchsorted([0.32, 0.63], draws["sites"], side="right")
    number = np.maximum(named, np.maximum(known, 1) - 1)
    return {
        "site_lung": lung,
        "site_liver": liver,
        "site_bone": bone,
        "number_of_metastatic_sites": number,
    }


def _history(draws: Mapping[str, Floats], margins: Margins, sensitive: Bools) -> dict[str, Ints]:
    """Previous treatment: an early relapse goes with insensitive disease where it can."""
    fitted = bool(margins.groups)
    dfi_score = draws["dfi"] + (0.3 * ~sensitive if fitted else 0.0)
    dfi = margins.levels("disease_free_interval", dfi_score)
    had_adjuvant = dfi != 0
    recent = margins.levels("most_recent_treatment", _squeeze(draws["recent"], 0.69), had_adjuvant)
    # chemotherapy given only with the first treatment presumes an adjuvant treatment
    lean = np.where(had_adjuvant, 1.0, 0.35 if fitted else 0.56)
    chemotherapy = margins.levels("previous_chemotherapy", _squeeze(draws["chemotherapy"], lean))
    chemotherapy = np.where((chemotherapy == 2) & ~had_adjuvant, 1, chemotherapy)
    therapy_score = draws["therapies"] + (0.4 * (recent == 1) if fitted else 0.0)
    return {
        "disease_free_interval": dfi,
        "most_recent_treatment": recent,
        "previous_chemotherapy": chemotherapy,
        "number_of_previous_therapies": margins.levels(
            "number_of_previous_therapies", therapy_score
        ),
    }


def _age(placed: float, arm: str | None) -> int:
    low, middle, high = _AGES.get(arm or bolero2.EVE, _AGES[bolero2.EVE])
    return int(np.clip(round(middle + 11.0 * _NORMAL.inv_cdf(placed)), low, high))


def baselines(
    draws: Mapping[str, Floats], strata: Ints, groups: tuple[tuple[str, Bools], ...]
) -> list[dict[str, Answer]]:
    """Baseline answers of all subjects (slugs as in LEVELS, or None; age in years)."""
    margins = Margins(groups)
    visceral, sensitive = strata < 2, strata % 2 == 0
    chosen = {**_sites(draws, margins, visceral), **_history(draws, margins, sensitive)}
    several = chosen["number_of_previous_therapies"] > 0
    for name, column, among in (
        ("race", "race", None),
        ("ecog", "ecog", None),
        ("measurable_disease", "measurable", None),
        ("previous_tamoxifen", "tamoxifen", several),
        ("previous_fulvestrant", "fulvestrant", several),
        ("nsai_most_recent", "nsai_recent", None),
    ):
        score = draws[column] if among is None else _squeeze(draws[column], 0.83)
        chosen[name] = margins.levels(name, score, among)
    placed = margins.uniform(draws["age"])
    arms: list[str | None] = [None] * strata.size
    for arm, mask in groups:
        for i in np.flatnonzero(mask).tolist():
            arms[i] = arm
    rows: list[dict[str, Answer]] = []
    for i in range(strata.size):
        row: dict[str, Answer] = {"age": _age(float(placed[i]), arms[i])}
        for name, level in chosen.items():
            answer = LEVELS[name][level[i]]
            row[name] = None if answer == UNKNOWN else answer
        rows.append(row)
    return rows
