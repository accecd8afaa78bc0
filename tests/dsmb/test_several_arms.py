"""The package of more than two arms: pairs, arms that a later list dropped, files, size."""

import hashlib
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsmb.analysis import (
    Arm,
    Course,
    Procedure,
    ReportError,
    SubjectRecord,
    build_package,
    check_manifest,
    pack,
    pairs_of,
)
from dsmb.analysis.comparison import Comparison, compare
from dsmb.analysis.report_several import summary_of_several
from dsmb.analysis.survival import Cox
from dsmb.unblinded.package import SIMULATED, most_bytes
from tests.dsmb.arms import CUT, START, Trial, arms_of, blocks
from tests.dsmb.test_derivation import CUT as CUT_OF_TWO
from tests.dsmb.test_derivation import EVEROLIMUS, trial

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


@pytest.mark.parametrize(
    ("codes", "controls", "again", "sha256"),
    [
        ("LOW HIG PBO", "PBO", True,
         "8f0e05e46f2a60b5ea3546400aef5608bb3b573138b234975ae0d51ccc6f5ed9"),
        ("LOW HIG PBO", "PBO", False,
         "d1c889fe593a0f0f4814757818960bf8e0e933727fc4db8285a16a7a50467c81"),
        ("LOW MID HIG PBO", "", True,
         "bd54506f4c4cedcc9e62d2cb4aac9b22b010431f716fc7102eb1b16477d76356"),
    ],
)  # fmt: skip
def test_a_package_of_several_arms_and_one_ratio_is_what_it_was(codes, controls, again, sha256):
    """Made by the code before tests were stratified by the ratio."""
    made = Trial(arms_of(codes, controls))
    files = build_package(
        made.records, CUT, study_title="A study", arms=made.arms,
        procedures=made.procedures if again else (),
    )  # fmt: skip
    content = b"".join(files[key] for key in sorted(files))
    assert hashlib.sha256(content).hexdigest() == sha256


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
    assert "LOW, HIG, PBO 1:1:1 (60); HIG, PBO 1:1 (90)" in " ".join(text.split())
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


@pytest.mark.parametrize(
    ("numbers", "shown"),
    [
        ((0.5, 0.25, 1), "0.50 (0.25 to 1.00)"),
        ((0.005, 0.00499, 999.99), "0.01 (<0.005 to 999.99)"),
        ((1e-6, 1e-30, 1e30), "<0.005 (<0.005 to >=1000)"),
        ((12345.6, 999.996, float("inf")), ">=1000 (>=1000 to >=1000)"),
    ],
)
def test_a_ratio_stays_in_its_column_however_large_or_small(numbers, shown):
    made = Trial(THREE, 30)
    found = compare(made.records, CUT, (), made.arms)
    point = found.several[0]
    ratio, low, high = numbers
    extreme = replace(point.pairs[0], hazard_ratio=Cox(ratio, low, high, beta=0.0, se=1.0))
    point = replace(point, pairs=(extreme, *point.pairs[1:]))
    lines = summary_of_several(replace(found, several=(point, *found.several[1:])))
    row, head = (
        next(line for line in lines if line.startswith(start)) for start in ("  LOW :", "  Pair")
    )
    assert f" {shown}  " in row
    test = f"{extreme.logrank.chi2:.2f}, p"
    assert row.index(test) == head.index("log-rank chi2, p")


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
    for shift in range(2):
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


@given(
    people=st.lists(
        st.tuples(
            st.integers(0, 3),  # arm
            st.integers(0, 60),  # last day
            st.booleans(),  # death on it
            st.sampled_from(["yes", "no"]),
            st.integers(0, 1),  # list
        ),
        max_size=9,
    ),
    controls=st.sampled_from(["PBO", "", "LOW PBO"]),
)
@settings(max_examples=25, deadline=None)
def test_a_package_comes_out_whatever_happened(people, controls):
    """No failure, no number that is none, no line that is too wide: a failure would tell an arm."""
    arms = arms_of("LOW MID HIG PBO", controls)
    records, taken = [], {0: [], 1: []}
    for number, (place, last, died, level, part) in enumerate(people):
        on = START + timedelta(days=last)
        course = Course(
            f"{number:03}", "0101", "FR", {"visceral": level}, START,
            died_on=on if died else None, last_contact_on=on,
        )  # fmt: skip
        part = 0 if place == 0 else part  # the second list is without the first arm
        taken[part].append((course.subject, level))
        records.append(SubjectRecord(course, arms[place]))
    used = [
        blocks([each for each, _ in rows], arms[part:], [level for _, level in rows])
        for part, rows in taken.items()
        if rows
    ]
    files = build_package(records, CUT, study_title="Study", procedures=used, arms=arms)
    results = json.loads(files["results.json"], parse_constant=pytest.fail)  # NaN, Infinity
    counted = results["end_points"]["OS"]
    assert sum(arm["subjects"] for arm in counted["arms"]) == len(people)
    for each in counted["pairs"]:
        codes = (each["first"], each["second"])
        both = sum(record.arm.code in codes for record in records)
        assert each["subjects"] + each["left_out"] == both
    assert max(len(line) for line in files["summary.txt"].decode().splitlines()) <= 100
