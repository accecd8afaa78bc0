"""More than two arms: the log-rank test of all, every pair, arms that a later list dropped."""

import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from itertools import permutations, product

import numpy as np
import pytest
from scipy import stats
from statsmodels.duration.survfunc import survdiff

from dsmb.analysis import (
    Arm,
    LogRank,
    NotEstimable,
    Procedure,
    ReportError,
    SubjectRecord,
    build_package,
    check_manifest,
    logrank,
    overall_logrank,
    pack,
    pairs_of,
    run_arms,
)
from dsmb.analysis.comparison import Comparison, compare
from dsmb.analysis.pairs import Pair, Period
from dsmb.analysis.several import Sample, compare_pair, pair_z
from dsmb.unblinded.package import SIMULATED, most_bytes
from tests.dsmb.arms import CUT, Trial, arms_of
from tests.dsmb.test_derivation import CUT as CUT_OF_TWO
from tests.dsmb.test_derivation import EVEROLIMUS, trial
from tests.dsmb.test_survival import bone_marrow

THREE = arms_of("LOW HIG PBO", "PBO")

# SHA-256 of all files of a package of two arms, made by the code before there were more.
AS_BEFORE = {
    "two arms": "c5a4f18b5d6cafbee47fbfaca981be2e83ee44c2e1737afd42cc6f099737761f",
    "randomized again": "4d6f4f48b7cafef71b7c417d695f0dce2ef9e8a9cecd634dde84e8dd603a4a54",
    "one arm": "80c9d874d9792d40fa57a59eb1d361d0abb8c2c62e82ce4949168a855ea99e67",
    "nobody": "07d6450aa48bce025ca3dc0dc63247754dd0bcec5849d6d93a9e2c5d7d0a4ea3",
}


def compared(made: Trial) -> Comparison:
    return compare(made.records, CUT, made.procedures, made.arms)


def package(made: Trial, **options):
    return build_package(
        made.records, CUT, study_title="Study", procedures=made.procedures, arms=made.arms,
        **options,
    )  # fmt: skip


@pytest.mark.parametrize("name", AS_BEFORE)
def test_a_package_of_two_arms_is_byte_for_byte_what_it_was(name):
    records = trial(120)
    used = Procedure(
        method={"method": "permuted-blocks", "block_sizes": [3, 6]},
        arms=(("EVE", 2), ("PBO", 1)),
        control="PBO",
        factors=("stratum",),
        subjects=tuple(each.course.subject for each in records),
        levels=tuple((each.course.strata["visceral"],) for each in records),
        named={"0004": "PBO"},
    )
    given = {
        "two arms": records,
        "randomized again": records,
        "one arm": [each for each in records if each.arm == EVEROLIMUS],
        "nobody": [],
    }[name]
    procedures = (used,) if name in ("randomized again", "one arm") else ()
    both = {each.arm for each in records}
    for arms in ((), both):  # the extract tells the arms, an older caller does not
        files = build_package(
            given, CUT_OF_TWO, study_title="A study", procedures=procedures, arms=arms
        )
        content = b"".join(files[key] for key in sorted(files))
        assert hashlib.sha256(content).hexdigest() == AS_BEFORE[name]


def test_log_rank_of_the_three_groups_of_the_bone_marrow_data():
    """Klein and Moeschberger's transplants, all three risk groups together."""
    disease, time, event = bone_marrow()
    arm = np.unique(disease, return_inverse=True)[1]
    found = overall_logrank(time, event, arm, 3, ["all"] * len(time))
    chi2, p = survdiff(time, event, arm)
    assert found.chi2 == pytest.approx(chi2, rel=1e-10) == pytest.approx(13.8037, abs=1e-4)
    assert (found.degrees_of_freedom, found.p) == (2, pytest.approx(p, rel=1e-9))
    assert sum(found.observed) == pytest.approx(sum(found.expected)) == event.sum()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("arms", [2, 3, 5])
def test_log_rank_of_all_arms_agrees_with_statsmodels(seed, arms):
    draw = np.random.default_rng(seed)
    time, event = draw.integers(1, 40, 160), draw.integers(0, 2, 160)
    arm, strata = draw.integers(0, arms, 160), draw.integers(0, 3, 160)
    found = overall_logrank(time, event, arm, arms, [f"s{each}" for each in strata])
    chi2, p = survdiff(time, event, arm, strata=strata)
    assert found.chi2 == pytest.approx(chi2, rel=1e-9)
    assert found.p == pytest.approx(p, rel=1e-8)
    assert found.degrees_of_freedom == arms - 1
    if arms == 2:
        assert found.chi2 == pytest.approx(logrank(time, event, arm, strata).chi2, rel=1e-9)


def test_log_rank_by_hand():
    """Two deaths, three arms: O - E and its covariance worked out in fractions.

    Day 2: one each of A, B, C and a second B at risk, A dies: E = (1/4, 1/2, 1/4).
    Day 5: B, B, C at risk, C dies: E = (0, 2/3, 1/3).
    """
    found = overall_logrank([2, 9, 9, 5], [1, 0, 0, 1], [0, 1, 1, 2], 3, ["x"] * 4)
    a = Fraction(3, 4)  # A: 1 - 1/4
    b = -Fraction(1, 2) - Fraction(2, 3)
    aa, ab = Fraction(3, 16), -Fraction(1, 8)
    bb = Fraction(1, 4) + Fraction(2, 9)
    chi2 = (a * a * bb - 2 * a * b * ab + b * b * aa) / (aa * bb - ab * ab)
    assert found.chi2 == pytest.approx(float(chi2))
    assert found.degrees_of_freedom == 2
    assert found.expected == pytest.approx((1 / 4, 7 / 6, 7 / 12))


def test_an_arm_that_was_never_at_risk_takes_a_degree_of_freedom():
    time, event, arm = [3, 4, 6, 7, 1, 2], [1, 1, 1, 0, 0, 0], [0, 1, 0, 1, 2, 2]
    found = overall_logrank(time, event, arm, 4, ["x"] * 6)  # arm 2 left early, arm 3 has nobody
    assert found.degrees_of_freedom == 1
    assert found.chi2 == pytest.approx(logrank(time[:4], event[:4], arm[:4]).chi2)
    assert isinstance(overall_logrank([1, 2], [1, 0], [0, 0], 3, ["x"] * 2), NotEstimable)
    assert isinstance(overall_logrank([], [], [], 3, []), NotEstimable)


@pytest.mark.parametrize(
    ("controls", "expected"),
    [
        ("PBO", "LOW:PBO HIG:PBO"),
        ("LOW", "HIG:LOW PBO:LOW"),
        ("HIG PBO", "LOW:HIG LOW:PBO"),
        ("", "LOW:HIG LOW:PBO HIG:PBO"),
        ("LOW HIG PBO", "LOW:HIG LOW:PBO HIG:PBO"),
    ],
)
def test_pairs_are_each_other_arm_against_each_control(controls, expected):
    pairs = pairs_of(arms_of("LOW HIG PBO", controls))
    assert [f"{pair.first}:{pair.second}" for pair in pairs] == expected.split()


def test_a_pair_has_the_numbers_of_a_trial_of_its_two_arms():
    made = Trial(THREE, days={"HIG": 400})
    found = compared(made)
    assert found.end_points == ()
    for number, code in enumerate(("LOW", "HIG")):
        two = [each for each in made.records if each.arm.code in (code, "PBO")]
        alone = compare(two, CUT)
        for point, theirs in zip(found.several, alone.end_points, strict=True):
            pair = point.pairs[number]
            assert (pair.hazard_ratio, pair.logrank) == (theirs.hazard_ratio, theirs.logrank)
            assert (pair.subjects, pair.left_out) == (len(two), 0)
            assert {each.arm: each for each in point.arms}[theirs.arms[0].arm] == theirs.arms[0]
        assert found.counts[number] == alone.counts[0]


def test_z_of_every_repeat_is_the_log_rank_test_of_its_pair():
    draw = np.random.default_rng(3)
    days, event = draw.integers(1, 30, 60), draw.integers(0, 2, 60)
    strata = np.array(["a", "b"])[draw.integers(0, 2, 60)]
    given = draw.integers(0, 4, (60, 40))
    given[:, 0] = 1  # nobody of the pair's first arm
    z = pair_z(days, event, strata, given == 2, given == 1)
    assert z[0] == 0
    for column in range(1, 40):
        mine = np.isin(given[:, column], (1, 2))
        group = (given[mine, column] == 2).astype(int)
        test = logrank(days[mine], event[mine], group, strata[mine])
        assert z[column] == pytest.approx(test.z, abs=1e-12)


TIME = [9, 3, 14, 20, 5, 11]
EVENT = [1, 1, 0, 1, 1, 1]
STRATUM = ("f", "m", "f", "m", "f", "m")
TINY = tuple(f"S{number}" for number in range(6))
REPEATS = 20_000


def tiny_blocks():
    """All 36 ways to fill a block of three in two strata, each of one probability."""
    for women, men in product(permutations(range(3)), repeat=2):
        arms = [0] * 6
        arms[0::2], arms[1::2] = women, men
        yield arms, 1 / 36


def tiny_complete():
    """All 729 ways without any restriction."""
    for arms in product(range(3), repeat=6):
        yield list(arms), 1 / 729


def z_of(arms):
    """The pair's z by the two-arm test, arm 0 against arm 2."""
    mine = [place for place in range(6) if arms[place] != 1]
    test = logrank(
        [TIME[place] for place in mine], [EVENT[place] for place in mine],
        [int(arms[place] == 0) for place in mine], [STRATUM[place] for place in mine],
    )  # fmt: skip
    return test.z if isinstance(test, LogRank) else 0.0


@pytest.mark.parametrize(
    ("method", "possible"),
    [
        ({"method": "permuted-blocks", "block_sizes": [3]}, tiny_blocks),
        ({"method": "complete"}, tiny_complete),
    ],
    ids=["blocks", "complete"],
)
def test_p_value_of_a_pair_is_that_of_all_possible_allocations_of_all_arms(method, possible):
    used = Procedure(
        method, tuple((arm.code, 1) for arm in THREE), "", ("sex",), TINY,
        tuple((level,) for level in STRATUM),
    )  # fmt: skip
    arms = (0, 2, 1, 0, 2, 1)
    mine = z_of(arms)
    two = sum(p for each, p in possible() if abs(z_of(each)) >= abs(mine) - 1e-9)
    one = sum(p for each, p in possible() if z_of(each) <= mine + 1e-9)
    codes = tuple(arm.code for arm in THREE)
    again = run_arms([used], TINY, codes, repeats=REPEATS, seed=3)
    sample = Sample(
        tuple(TIME), tuple(EVENT), arms, STRATUM, codes, (Period(codes, tuple(range(6))),)
    )
    found = compare_pair(sample, Pair("LOW", "PBO"), again).rerandomization
    assert stats.binomtest(found.as_extreme, REPEATS, two).pvalue > 1e-4
    assert stats.binomtest(found.as_good, REPEATS, one).pvalue > 1e-4
    assert 0.1 < two < 0.6


@pytest.mark.slow
def test_a_pair_without_a_difference_keeps_its_level_beside_an_arm_that_differs():
    """Observed minus expected rejects in 11% here; the standardized statistic in about 5%."""
    draw = np.random.default_rng(5)
    codes, subjects = ("EXP", "OTH", "CTL"), tuple(str(number) for number in range(120))
    method = {"method": "permuted-blocks", "block_sizes": [4, 8]}
    ratio = (("EXP", 1), ("OTH", 2), ("CTL", 1))
    used = Procedure(method, ratio, "", ("s",), subjects, (("x",),) * 120)
    strata, rejected, trials = np.array(["x"] * 120), 0, 400
    for trial_number in range(trials):
        again = run_arms([used], subjects, codes, repeats=400, seed=trial_number + 1).given
        arm = run_arms([used], subjects, codes, repeats=1, seed=10_000 + trial_number).given
        hidden = draw.exponential(np.where(arm[:, 0] == 1, 800, 100))
        left = draw.uniform(30, 200, 120)
        days, event = np.ceil(np.minimum(hidden, left)).astype(int), (hidden <= left).astype(int)
        given = np.concatenate([arm, again], axis=1)
        z = pair_z(days, event, strata, given == 0, given == 2)
        rejected += (1 + (abs(z[1:]) >= abs(z[0]) - 1e-9).sum()) / 401 <= 0.05
    assert stats.binomtest(rejected, trials, 0.05).pvalue > 1e-3


def test_a_dropped_arm_is_compared_with_those_who_could_have_got_it():
    made = Trial(THREE, dropped_after=60)
    found = compared(made)
    assert [(each.codes, len(each.places)) for each in found.periods] == [
        (("LOW", "HIG", "PBO"), 60),
        (("HIG", "PBO"), 90),
    ]
    late = [each for each in made.records if each.course.subject >= "0101-060"]
    placebo = sum(each.arm.code == "PBO" for each in late)
    early = [each for each in made.records if each not in late]
    alone = compare([each for each in early if each.arm.code != "HIG"], CUT)
    for point, theirs in zip(found.several, alone.end_points, strict=True):
        low, high = point.pairs
        assert (low.left_out, high.left_out) == (placebo, 0)
        assert (low.hazard_ratio, low.logrank) == (theirs.hazard_ratio, theirs.logrank)
        assert low.subjects + low.left_out == sum(
            each.arm.code in ("LOW", "PBO") for each in made.records
        )
    # What happens to those who could not have got the arm changes nothing for it.
    changed = replace_late(made, late)
    again = compare(changed, CUT, made.procedures, made.arms)
    for point, theirs in zip(found.several, again.several, strict=True):
        assert point.pairs[0] == theirs.pairs[0]
        assert point.overall != theirs.overall
    text = package(made)["summary.txt"].decode()
    assert "LOW, HIG, PBO (60); HIG, PBO (90)" in " ".join(text.split())
    assert f"LOW : PBO {placebo}." in " ".join(text.split())


def replace_late(made, late):
    died = {each.course.subject: each.course.randomized_on + timedelta(9) for each in late}
    return [
        replace(
            each, course=replace(each.course, died_on=died.get(each.course.subject), reads=())
        ) if each.course.subject in died else each
        for each in made.records
    ]  # fmt: skip


def test_a_trend_over_time_does_not_pass_for_an_effect_of_a_dropped_arm():
    """Everybody who comes after the arm was dropped does badly, whatever the arm."""
    made = Trial(THREE, 240, dropped_after=120, seed=11)
    late = [each for each in made.records if each.course.subject >= "0101-120"]
    records = replace_late(made, late)
    survival = compare(records, CUT, made.procedures, made.arms).several[2]
    everybody = [each for each in records if each.arm.code in ("LOW", "PBO")]
    naive = compare(everybody, CUT).end_points[2].logrank
    assert naive.p_two_sided < 0.0001
    assert survival.pairs[0].logrank.p_two_sided > 0.01
    assert survival.overall.p > 0.01


def test_results_say_every_number_and_that_none_is_adjusted():
    made = Trial(arms_of("LOW MID HIG PBO", "PBO"), days={"HIG": 400})
    files = package(made, simulated_note=SIMULATED)
    assert check_manifest(files) == []
    assert json.loads(files["manifest.json"])["package_version"] == 2
    results = json.loads(files["results.json"])
    assert "No p-value is adjusted" in results["multiplicity"]
    assert [arm["control"] for arm in results["arms"]] == [False, False, False, True]
    assert [period["open_arms"] for period in results["periods"]] == [["LOW", "MID", "HIG", "PBO"]]
    named = sorted(each.course.subject for each in made.records)
    assert results["periods"][0]["subjects"] == named
    found = compared(made)
    for point in found.several:
        theirs = results["end_points"][point.param]
        assert theirs["overall_logrank"]["degrees_of_freedom"] == 3
        assert theirs["overall_logrank"]["chi2"] == pytest.approx(point.overall.chi2, rel=1e-9)
        assert [(each["first"], each["second"]) for each in theirs["pairs"]] == [
            ("LOW", "PBO"), ("MID", "PBO"), ("HIG", "PBO"),
        ]  # fmt: skip
        for mine, each in zip(point.pairs, theirs["pairs"], strict=True):
            assert each["logrank"]["z"] == pytest.approx(mine.logrank.z, rel=1e-9)
            assert each["rerandomization"]["repeats"] == 5_000
        assert sum(arm["subjects"] for arm in theirs["arms"]) == 150
    assert results["end_points"]["PFSINV"]["pairs"][2]["hazard_ratio"]["high"] < 1


@pytest.mark.parametrize("codes", ["LOW HIG PBO", "LOW MID HIG PBO", "LOW MID HIG TOP PBO"])
@pytest.mark.parametrize("controls", ["PBO", ""])
def test_the_summary_can_be_read(codes, controls):
    text = package(Trial(arms_of(codes, controls)))["summary.txt"].decode()
    lines = text.splitlines()
    assert max(len(line) for line in lines) <= 100
    assert ("marks no arm as control" in text) is not controls
    for code in codes.split():
        assert sum(line.startswith(f"  {code}  Dose {code} + exemestane") for line in lines) == 3
    pairs = len(codes.split()) - 1 if controls else len(list(pairs_of(arms_of(codes))))
    assert sum(" : " in line and " to " in line for line in lines) == 3 * pairs
    degrees = len(codes.split()) - 1
    assert text.count(f"with {degrees} degrees of freedom") == 3
    assert "No p-value is adjusted" in text


def test_every_arm_and_pair_is_there_whoever_has_come():
    """A cut may hold one subject: that there is a package must not tell the arm."""
    made = Trial(THREE, 30)
    shapes = set()
    for records in ([], made.records[:1], made.records[1:2], made.records[:4], made.records):
        files = build_package(
            records, CUT, study_title="S", procedures=made.procedures, arms=made.arms
        )
        results = json.loads(files["results.json"])
        point = results["end_points"]["OS"]
        shapes.add((len(results["arms"]), len(point["arms"]), len(point["pairs"])))
        assert max(len(line) for line in files["summary.txt"].decode().splitlines()) <= 100
        if len(records) < 2:
            assert "cannot_be_estimated" in point["overall_logrank"]
            reason = point["pairs"][0]["logrank"]["cannot_be_estimated"]
            assert "LOW : PBO cannot be estimated" in files["summary.txt"].decode()
            assert "no subjects" in reason
    assert shapes == {(3, 3, 2)}


def test_an_arm_that_is_not_the_studys_is_refused():
    made = Trial(THREE, 9)
    with pytest.raises(ReportError, match="not among the study's arms"):
        compare(made.records, CUT, made.procedures, THREE[1:])


def test_without_the_studys_arms_the_records_tell_them():
    made = Trial(THREE, 60)
    given = compare(made.records, CUT, (), sorted(THREE, key=lambda arm: arm.code))
    assert compare(made.records, CUT) == given
    assert all(each.rerandomization is None for each in given.several[0].pairs)


@pytest.mark.parametrize(("count", "controls"), [(3, 1), (5, 1), (10, 0)])
def test_a_package_stays_under_what_is_announced_for_it_whoever_is_in_which_arm(count, controls):
    """The longest labels and codes, subjects in one arm, in many, and in periods."""
    arms = tuple(
        Arm(f"A{number:07}", "\N{EURO SIGN}" * 300, number >= count - controls)
        for number in range(count)
    )
    made = Trial(arms, 40, dropped_after=20)
    limits = set()
    for shift in range(3):
        records = [
            SubjectRecord(each.course, arms[(place * shift) % count])
            for place, each in enumerate(made.records)
        ]
        files = build_package(
            records, CUT, study_title="\N{EURO SIGN}" * 300, simulated_note=SIMULATED,
            procedures=made.procedures, arms=arms,
        )  # fmt: skip
        limits.add(most_bytes(records, arms, CUT))
        rows = len(files["adsl.csv"]) + len(files["adtte.csv"])  # all labels are of one length
        assert len(pack(files)) - rows < 0.7 * (min(limits) - rows)
    assert len(limits) == 1
