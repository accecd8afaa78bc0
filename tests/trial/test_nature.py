"""The simulated patients: exact published counts, near margins, consistent dates, no arm leak.

The end points are derived here from the dated courses, by the rules of the statistical plan,
and not from the arrays the simulation was fitted with; hazard ratios come from statsmodels.
"""

from __future__ import annotations

import time
from collections import Counter
from datetime import date

import numpy as np
import pytest
from statsmodels.duration.hazard_regression import PHReg
from statsmodels.duration.survfunc import SurvfuncRight

from tests.trial.conftest import KEYS, lists
from trial import nature
from trial.nature import COUNTS, CUT, LEVELS, Nature, PatientCourse, simulate

MONTH = 30.4375


def pfs(course: PatientCourse, reader: str) -> tuple[int, bool]:
    """Days and event of progression-free survival by one reader."""
    limit = min(CUT, course.new_therapy_on or CUT)
    reads = [
        (v.on, v.local_response if reader == "local" else v.central_response)
        for v in course.visits
        if v.on <= limit
    ]
    ends = [on for on, response in reads if response == "PD"]
    if course.death_on is not None and course.death_on <= limit:
        ends.append(course.death_on)
    looks = [on for on, response in reads if response != "NE"]
    end = min(ends) if ends else max(looks, default=course.randomized_on)
    return (end - course.randomized_on).days + 1, bool(ends)


def by_arm(trial: Nature, arm: str) -> list[PatientCourse]:
    return [p for p in trial.patients if p.arm_used_by_nature == arm]


def events(trial: Nature, arm: str, reader: str) -> int:
    return sum(pfs(p, reader)[1] for p in by_arm(trial, arm))


def median(trial: Nature, arm: str, reader: str) -> float:
    days, status = zip(*(pfs(p, reader) for p in by_arm(trial, arm)), strict=True)
    return float(SurvfuncRight(np.array(days), np.array(status)).quantile(0.5)) / MONTH


def cox(trial: Nature, reader: str) -> tuple[float, float, float]:
    days, status = zip(*(pfs(p, reader) for p in trial.patients), strict=True)
    treated = np.array([[float(p.arm_used_by_nature == "EVE")] for p in trial.patients])
    strata = [KEYS.index("|".join(f"{k}={v}" for k, v in p.strata.items())) for p in trial.patients]
    fit = PHReg(
        np.array(days), treated, status=np.array(status), strata=np.array(strata), ties="efron"
    ).fit()
    beta, se = float(fit.params[0]), float(fit.bse[0])
    return tuple(float(np.exp(beta + z * se)) for z in (0, -1.959964, 1.959964))


def count_stops(patients: list[PatientCourse], drug: str) -> int:
    stops = [getattr(p, drug) for p in patients]
    return sum(stop is not None and stop.reason == "adverse_event" for stop in stops)


# ---------------------------------------------------------------- exact counts


@pytest.mark.parametrize("arm", ["EVE", "PBO"])
def test_published_counts_are_met_exactly(trial: Nature, arm: str) -> None:
    patients, target = by_arm(trial, arm), COUNTS[arm]
    assert len(patients) == {"EVE": 485, "PBO": 239}[arm]
    assert events(trial, arm, "local") == target.local_events
    assert events(trial, arm, "central") == target.central_events
    assert sum(p.death_on is not None for p in patients) == target.deaths
    assert sum(p.first_dose_on is None for p in patients) == target.never_dosed
    assert sum(p.on_treatment for p in patients) == target.on_treatment
    assert count_stops(patients, "study_drug_stop") == target.study_drug_adverse_event_stops
    assert count_stops(patients, "exemestane_stop") == target.exemestane_adverse_event_stops


def test_targets_are_the_published_figures() -> None:
    eve, pbo = COUNTS["EVE"], COUNTS["PBO"]
    assert (eve.local_events, pbo.local_events) == (202, 157)
    assert (eve.central_events, pbo.central_events) == (114, 104)
    assert (eve.deaths, pbo.deaths) == (52, 31)
    assert (eve.on_treatment, pbo.on_treatment) == (227, 69)
    assert (eve.never_dosed, pbo.never_dosed) == (3, 1)
    stops = [
        (c.study_drug_adverse_event_stops, c.exemestane_adverse_event_stops) for c in (eve, pbo)
    ]
    percents = [
        [round(100 * s / n) for s in pair] for pair, n in zip(stops, (482, 238), strict=True)
    ]
    assert percents == [[19, 7], [4, 3]]


@pytest.mark.parametrize("seed", [2, 11])
def test_other_lists_and_seeds_meet_the_counts(seed: int) -> None:
    other = simulate(lists(seed), seed=seed)
    for arm in ("EVE", "PBO"):
        assert events(other, arm, "local") == COUNTS[arm].local_events
        assert events(other, arm, "central") == COUNTS[arm].central_events
        assert sum(p.on_treatment for p in by_arm(other, arm)) == COUNTS[arm].on_treatment
    assert abs(len(by_arm(other, "EVE")) - 485) <= 1
    assert cox(other, "local")[0] == pytest.approx(0.43, abs=0.02)
    assert cox(other, "central")[0] == pytest.approx(0.36, abs=0.02)


# ---------------------------------------------------------------- near figures


@pytest.mark.parametrize(
    ("reader", "ratio", "low", "high"),
    [("local", 0.43, 0.35, 0.54), ("central", 0.36, 0.27, 0.47)],
)
def test_hazard_ratios(trial: Nature, reader: str, ratio: float, low: float, high: float) -> None:
    reached = cox(trial, reader)
    assert reached[0] == pytest.approx(ratio, abs=0.015)
    assert reached[1] == pytest.approx(low, abs=0.02)
    assert reached[2] == pytest.approx(high, abs=0.025)


@pytest.mark.parametrize(
    ("arm", "reader", "months", "tolerance"),
    [
        ("EVE", "local", 6.9, 0.10),
        ("PBO", "local", 2.8, 0.06),
        ("EVE", "central", 10.6, 0.30),
        ("PBO", "central", 4.1, 0.10),
    ],
)
def test_medians(trial: Nature, arm: str, reader: str, months: float, tolerance: float) -> None:
    assert median(trial, arm, reader) == pytest.approx(months, abs=tolerance)


def test_reached_agrees_with_the_dated_courses(trial: Nature) -> None:
    reached = trial.reached
    for reader in ("local", "central"):
        assert reached[f"hazard_ratio_{reader}"] == pytest.approx(cox(trial, reader)[0], rel=1e-8)
        for arm in ("EVE", "PBO"):
            name = f"{reader}_{arm.lower()}"
            assert reached[f"events_{name}"] == events(trial, arm, reader)
            assert reached[f"median_{name}"] == pytest.approx(median(trial, arm, reader), abs=0.05)


def test_strata_and_accrual_have_the_published_margins(trial: Nature) -> None:
    for question, percent in (("visceral", 55.9), ("sensitive", 84.0)):
        share = sum(p.strata[question] == "yes" for p in trial.patients) / 7.24
        assert share == pytest.approx(percent, abs=0.6)
    assert trial.patients[0].randomized_on == date(2009, 6, 4)
    assert date(2011, 1, 20) <= trial.patients[-1].randomized_on <= date(2011, 1, 31)
    follow_up = np.median([(CUT - p.randomized_on).days for p in trial.patients]) / MONTH
    assert follow_up == pytest.approx(7.6, abs=0.4)


BASELINE = [
    # question, level, everolimus %, placebo % (table 1)
    ("race", "white", 74, 78),
    ("race", "asian", 20, 19),
    ("ecog", "0", 60, 59),
    ("ecog", "2", 2, 3),
    ("measurable_disease", "yes", 70, 68),
    ("site_lung", "yes", 29, 33),
    ("site_liver", "yes", 33, 30),
    ("site_bone", "yes", 76, 77),
    ("number_of_metastatic_sites", "1", 32, 29),
    ("number_of_metastatic_sites", "3_or_more", 36, 37),
    ("most_recent_treatment", "adjuvant", 21, 16),
    ("disease_free_interval", "under_12_months", 2, 4),
    ("disease_free_interval", "over_24_months", 56, 54),
    ("disease_free_interval", "no_adjuvant", 31, 31),
    ("previous_chemotherapy", "metastatic", 26, 26),
    ("previous_chemotherapy", "adjuvant_only", 44, 40),
    ("number_of_previous_therapies", "1", 16, 18),
    ("number_of_previous_therapies", "3_or_more", 54, 53),
    ("previous_tamoxifen", "yes", 47, 49),
    ("previous_fulvestrant", "yes", 17, 16),
    ("nsai_most_recent", "yes", 74, 75),
]


@pytest.mark.parametrize(("question", "level", "eve", "pbo"), BASELINE)
def test_baseline_is_near_table_1(
    trial: Nature, question: str, level: str, eve: int, pbo: int
) -> None:
    assert level in LEVELS[question]
    for arm, percent in (("EVE", eve), ("PBO", pbo)):
        patients = by_arm(trial, arm)
        share = 100 * sum(p.baseline[question] == level for p in patients) / len(patients)
        assert share == pytest.approx(percent, abs=2.5), arm


def test_age_is_near_table_1(trial: Nature) -> None:
    for arm, low, middle, high in (("EVE", 34, 62, 93), ("PBO", 28, 61, 90)):
        ages = [p.baseline["age"] for p in by_arm(trial, arm)]
        assert (min(ages), np.median(ages), max(ages)) == pytest.approx((low, middle, high), abs=6)


def test_baseline_answers_agree_with_each_other(trial: Nature, blind_trial: Nature) -> None:
    for p in (*trial.patients, *blind_trial.patients):
        b = p.baseline
        viscera = [b["site_lung"], b["site_liver"]]
        assert p.strata["visceral"] == "yes" or "yes" not in viscera
        named = [*viscera, b["site_bone"]].count("yes")
        assert LEVELS["number_of_metastatic_sites"].index(b["number_of_metastatic_sites"]) >= (
            named - 1
        )
        if b["disease_free_interval"] == "no_adjuvant":
            assert b["most_recent_treatment"] == "advanced"
            assert b["previous_chemotherapy"] != "adjuvant_only"
        answers = {question: b[question] for question in LEVELS}
        assert all(a is None or a in LEVELS[question] for question, a in answers.items())
        assert [q for q, a in answers.items() if a is None] in ([], ["disease_free_interval"])


def test_best_responses_are_near_table_3(trial: Nature) -> None:
    for arm, local, central in (("EVE", 46, 34), ("PBO", 1, 1)):
        patients = by_arm(trial, arm)
        seen = [{v.local_response for v in p.visits} for p in patients]
        reviewed = [{v.central_response for v in p.visits} for p in patients]
        assert sum(bool(r & {"CR", "PR"}) for r in seen) == local
        assert sum(bool(r & {"CR", "PR"}) for r in reviewed) == pytest.approx(central, abs=3)
        first = sum(p.visits != () and p.visits[0].local_response == "PD" for p in patients)
        published = {"EVE": 9.9, "PBO": 31.4}[arm]
        assert 100 * first / len(patients) == pytest.approx(published, abs=5)


# ---------------------------------------------------------------- lists, determinism, the arm


def test_kth_subject_of_a_stratum_gets_the_kth_arm(trial: Nature) -> None:
    given, taken = lists(1), Counter[str]()
    for p in trial.patients:
        key = "|".join(f"{k}={v}" for k, v in p.strata.items())
        assert p.arm_used_by_nature == given[key][taken[key]]
        taken[key] += 1


@pytest.fixture(scope="module")
def again() -> tuple[Nature, float]:
    """The trial made once more, and the seconds of processor time that it took."""
    begun = time.process_time()
    return simulate(lists(1), seed=1), time.process_time() - begun


def test_same_arguments_give_the_same_trial(trial: Nature, again: tuple[Nature, float]) -> None:
    assert repr(again[0]) == repr(trial)
    assert repr(simulate(lists(1), seed=3).patients) != repr(trial.patients)


def test_second_nature_does_not_know_the_arm(blind_trial: Nature) -> None:
    for given in (lists(1), lists(2), {key: ["PBO"] * 480 for key in KEYS}):
        assert repr(simulate(given, seed=7, arm_matters=False)) == repr(blind_trial)
    assert {p.arm_used_by_nature for p in blind_trial.patients} == {None}
    assert blind_trial.reached == {}


def test_second_nature_is_a_believable_trial(blind_trial: Nature) -> None:
    share = sum(pfs(p, "local")[1] for p in blind_trial.patients) / 724
    assert 0.40 < share < 0.60
    assert 0.25 < sum(p.on_treatment for p in blind_trial.patients) / 724 < 0.55
    assert sum(p.strata["visceral"] == "yes" for p in blind_trial.patients) / 724 == pytest.approx(
        0.559, abs=0.06
    )


@pytest.mark.parametrize(("subjects", "centres", "arm_matters"), [(20, 4, False), (40, 6, True)])
def test_small_trials(subjects: int, centres: int, arm_matters: bool) -> None:
    small = simulate(lists(4), seed=4, subjects=subjects, centres=centres, arm_matters=arm_matters)
    assert len(small.patients) == subjects
    assert len(small.centres) == centres
    assert {p.centre for p in small.patients} == {c.number for c in small.centres}
    if arm_matters:
        assert sum(p.arm_used_by_nature == "EVE" for p in small.patients) == pytest.approx(
            27, abs=1
        )


def test_more_centres_than_subjects() -> None:
    wide = simulate({}, seed=4, subjects=5, centres=9, arm_matters=False)
    assert len(wide.centres) == 9
    assert len({p.centre for p in wide.patients}) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({KEYS[0]: None}, "no list for 'visceral=yes\\|sensitive=yes'"),
        ({KEYS[1]: ["EVE", "XYZ"]}, "unknown arm code"),
        ({KEYS[0]: ["EVE", "PBO", "EVE"]}, "too short for 724 subjects"),
    ],
)
def test_unusable_lists_are_refused(change: dict[str, list[str] | None], message: str) -> None:
    merged = {**lists(1), **change}
    given = {key: entries for key, entries in merged.items() if entries is not None}
    with pytest.raises(ValueError, match=message):
        simulate(given, seed=1)


def test_unusable_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="subjects=0"):
        simulate({}, seed=1, subjects=0, arm_matters=False)
    with pytest.raises(ValueError, match="centres=0"):
        simulate({}, seed=1, subjects=5, centres=0, arm_matters=False)


def test_it_says_that_it_is_simulated(trial: Nature) -> None:
    assert "imulated" in nature.SIMULATED_NOTE
    assert "never evidence" in nature.SIMULATED_NOTE
    assert trial.note == nature.SIMULATED_NOTE
    assert "SIMULATED" in (nature.__doc__ or "")


def test_it_is_fast(again: tuple[Nature, float]) -> None:
    """Beside a plain loop in the same process, since machines differ and are shared."""
    begun = time.process_time()
    assert sum(n * n % 7 for n in range(5_000_000))
    loop = time.process_time() - begun
    assert again[1] < 40 * loop
