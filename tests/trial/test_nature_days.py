"""The simulated patients' days: their order, and the hours of their centres."""

import tomllib
from datetime import UTC, date
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.trial.conftest import lists
from trial import nature
from trial.nature import CUT, Nature, PatientCourse, simulate

# ---------------------------------------------------------------- chronology


def patient_dates(p: PatientCourse) -> list[date]:
    stops = [s.on for s in (p.study_drug_stop, p.exemestane_stop) if s]
    single = [p.kit_handed_over_on, p.first_dose_on, p.new_therapy_on, p.withdrawal_on, p.death_on]
    reads = [d for v in p.visits for d in (v.on, v.central_read_on)]
    return [*stops, *(d for d in single if d), *reads, *p.survival_contacts, p.last_contact_on]


def all_patients(trial: Nature, blind_trial: Nature) -> list[PatientCourse]:
    small = simulate(lists(5), seed=5, subjects=40, centres=6)
    return [*trial.patients, *blind_trial.patients, *small.patients]


def test_every_date_lies_between_randomization_and_the_cut(
    trial: Nature, blind_trial: Nature
) -> None:
    for p in all_patients(trial, blind_trial):
        assert p.consent_on <= p.screened_at.date() < p.randomized_on
        assert all(p.randomized_on <= d <= CUT for d in patient_dates(p))


def test_visits_increase_and_reads_follow_them(trial: Nature, blind_trial: Nature) -> None:
    for p in all_patients(trial, blind_trial):
        assert all(a.number < b.number and a.on < b.on for a, b in pairwise(p.visits))
        assert all(v.on <= v.central_read_on for v in p.visits)
        assert all(v.local_response != "PD" for v in p.visits[:-1])
        assert {r for v in p.visits for r in (v.local_response, v.central_response)} <= set(
            nature.RESPONSES
        )


def test_nothing_is_observed_after_death_withdrawal_or_new_therapy(
    trial: Nature, blind_trial: Nature
) -> None:
    for p in all_patients(trial, blind_trial):
        seen = [*(v.on for v in p.visits), *p.survival_contacts]
        if p.death_on:
            assert all(d < p.death_on for d in seen)
            assert p.last_contact_on <= p.death_on
            assert p.new_therapy_on is None or p.new_therapy_on < p.death_on
            assert p.withdrawal_on is None
        if p.withdrawal_on:
            assert all(d < p.withdrawal_on for d in seen)
            assert p.last_contact_on == p.withdrawal_on
        if p.new_therapy_on:
            assert all(v.on < p.new_therapy_on for v in p.visits)


def test_treatment_facts_agree(trial: Nature, blind_trial: Nature) -> None:
    for p in all_patients(trial, blind_trial):
        stops = [p.study_drug_stop, p.exemestane_stop]
        assert all(s is None or s.reason in nature.STOP_REASONS for s in stops)
        if p.first_dose_on is None:
            assert stops == [None, None]
            assert p.withdrawal_on is not None
            continue
        assert p.kit_handed_over_on is not None
        assert p.kit_handed_over_on <= p.first_dose_on
        assert all(s is None or p.first_dose_on < s.on for s in stops)
        if p.visits and p.visits[-1].local_response == "PD":
            assert None not in stops
        drug_end = p.study_drug_stop.on if p.study_drug_stop else date.max
        assert all(v.dispensed == (v.on < drug_end) for v in p.visits)


def test_most_scans_are_in_the_window(trial: Nature) -> None:
    off = [
        abs((v.on - p.randomized_on).days - 42 * v.number) for p in trial.patients for v in p.visits
    ]
    assert sum(each <= 7 for each in off) / len(off) > 0.93
    assert max(off) <= 16
    assert all(v.on.weekday() < 5 for p in trial.patients for v in p.visits)


# ---------------------------------------------------------------- centres, screening


def test_centres(trial: Nature) -> None:
    numbers = [c.number for c in trial.centres]
    assert len(set(numbers)) == len({c.name for c in trial.centres}) == 189
    assert len({c.country_code for c in trial.centres}) == 24
    assert {p.centre for p in trial.patients} == set(numbers)
    opened = {c.number: c for c in trial.centres}
    for p in (*trial.patients, *trial.screen_failures):
        centre = opened[p.centre]
        assert centre.ethics_approved_on < centre.activated_on < p.consent_on


def test_instants_have_one_date_and_one_order(trial: Nature) -> None:
    zones = {c.number: ZoneInfo(c.time_zone) for c in trial.centres}
    for p in trial.patients:
        for instant in (p.randomized_at, p.screened_at):
            assert instant.tzinfo is UTC
            local = instant.astimezone(zones[p.centre])
            assert local.date() == instant.date()
            assert 9 <= local.hour < 18
    at = [p.randomized_at for p in trial.patients]
    assert all(a < b for a, b in pairwise(at))


def test_screen_failures_and_deviations(trial: Nature, blind_trial: Nature) -> None:
    for one in (trial, blind_trial):
        assert len(one.screen_failures) == 60
        assert len({f.why_not for f in one.screen_failures}) >= 6
        for f in one.screen_failures:
            assert f.why_not in nature.NOT_ELIGIBLE
            assert not f.eligible
            assert f.consent_on <= f.screened_at.date() <= CUT
        assert sum(p.her2_deviation for p in one.patients) == 2


def test_every_slug_is_a_choice_of_the_shipped_study(trial: Nature) -> None:
    path = Path(__file__).parents[2] / "studies" / "bolero2.toml"
    study = tomllib.loads(path.read_text(encoding="utf-8"))
    questions = {row["key"]: row for row in study["baseline"]}
    for p in trial.patients:
        assert set(p.baseline) == set(questions)
        for key, answer in p.baseline.items():
            if answer is None:
                assert questions[key].get("required", True) is False
            elif questions[key]["type"] == "choice":
                assert answer in [choice["key"] for choice in questions[key]["choices"]]
    reasons = {reason["key"] for reason in study["drugs"][0]["stop_reasons"]}
    assert set(nature.STOP_REASONS) <= reasons
    eligibility = {row["key"] for row in study["eligibility"]}
    assert set(nature.NOT_ELIGIBLE) - eligibility == {"withdrew_before_randomization"}
