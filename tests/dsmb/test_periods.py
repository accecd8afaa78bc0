"""A later list with another ratio: every test is stratified by the period of each list."""

import json
from datetime import timedelta
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from dsmb.analysis import (
    Arm,
    Course,
    Procedure,
    SubjectRecord,
    build_package,
    cox,
    logrank,
    overall_logrank,
    pack,
    rerandomization,
    run_again,
    run_arms,
)
from dsmb.analysis.comparison import compare
from dsmb.analysis.pairs import Pair, periods_of
from dsmb.analysis.several import Sample, compare_pair
from dsmb.unblinded.package import REST_BYTES, most_bytes
from tests.dsmb.arms import BLOCKS, CUT, START

A, B, C = Arm("A", "Drug"), Arm("B", "Placebo", control=True), Arm("C", "Low dose")
# Arm, days, death. Two of A to one of B and one of C, then one, two and one.
EARLY = ((A, 2, 1), (A, 6, 0), (B, 4, 1), (C, 3, 1))
LATE = ((A, 3, 1), (B, 1, 0), (B, 5, 0), (C, 4, 0))


def used(arms, ratio, subjects, sizes=(4,)):
    return Procedure(
        {"method": BLOCKS, "block_sizes": list(sizes)},
        tuple((arm.code, each) for arm, each in zip(arms, ratio, strict=True)),
        B.code, ("stratum",), tuple(subjects), (("x",),) * len(subjects),
    )  # fmt: skip


def a_trial(arms):
    """Records, the procedure of each list, and the columns of the death end point."""
    records, procedures = [], []
    for name, rows, ratio in (("early", EARLY, (2, 1, 1)), ("late", LATE, (1, 2, 1))):
        mine = [row for row in rows if row[0] in arms]
        numbers = [f"{name}-{place}" for place in range(len(mine))]
        for number, (arm, days, died) in zip(numbers, mine, strict=True):
            on = START + timedelta(days=days - 1)
            course = Course(
                number, "0101", "FR", {"s": "x"}, START,
                died_on=on if died else None, last_contact_on=on,
            )  # fmt: skip
            records.append(SubjectRecord(course, arm))
        size = sum(ratio[: len(arms)])
        procedures.append(used(arms, ratio[: len(arms)], numbers, [size]))
    return records, procedures


def columns(rows):
    """Days, deaths, whether A, and the period, of who is in A or B."""
    both = [(*row, late) for late, part in enumerate(rows) for row in part if row[0] != C]
    arm, days, died, late = zip(*both, strict=True)
    return days, died, [int(each == A) for each in arm], late


def test_the_log_rank_test_by_hand():
    """In fractions. Early: on day 2 two of three at risk are A, on day 4 one of two. Late: on day 3
    one of two. Two deaths in A, against 2/3 + 1/2 + 1/2; variance 2/9 + 1/4 + 1/4.
    """
    expected, variance = Fraction(5, 3), Fraction(13, 18)
    by_hand = float((2 - expected) ** 2 / variance)
    records, procedures = a_trial((A, B))
    two = compare(records, CUT, procedures, (A, B)).end_points[2]
    assert two.logrank.chi2 == pytest.approx(by_hand)
    assert two.logrank.expected[1] == pytest.approx(float(expected))
    records, procedures = a_trial((A, B, C))
    survival = compare(records, CUT, procedures, (A, B, C)).several[2]
    pair = survival.pairs[0]
    assert (pair.pair, pair.subjects, pair.left_out) == (Pair("A", "B"), 6, 0)
    assert pair.logrank.chi2 == pytest.approx(by_hand)
    together = logrank(*columns((EARLY, LATE))[:3])
    assert abs(together.chi2 - by_hand) > 0.01  # what it was without the periods


def test_every_number_is_that_of_the_period_as_a_stratum():
    days, died, group, late = columns((EARLY, LATE))
    records, procedures = a_trial((A, B))
    two = compare(records, CUT, procedures, (A, B)).end_points[2]
    assert two.hazard_ratio == cox(days, died, group, late)
    assert two.hazard_ratio != cox(days, died, group)
    again = run_again(procedures, [record.course.subject for record in records])
    assert two.rerandomization == rerandomization(days, died, group, late, again)
    assert two.rerandomization != rerandomization(days, died, group, ["x"] * 6, again)
    records, procedures = a_trial((A, B, C))
    survival = compare(records, CUT, procedures, (A, B, C)).several[2]
    assert survival.pairs[0].hazard_ratio == two.hazard_ratio
    rows = [(*row, "early") for row in EARLY] + [(*row, "late") for row in LATE]
    arms = [(A, C, B).index(row[0]) for row in rows]  # control last
    times = [row[1] for row in rows], [row[2] for row in rows]
    assert survival.overall == overall_logrank(*times, arms, 3, [row[3] for row in rows])
    assert survival.overall != overall_logrank(*times, arms, 3, ["x"] * 8)


def test_a_repeat_of_a_pair_is_tested_within_the_periods_too():
    records, procedures = a_trial((A, B, C))
    codes, subjects = ("A", "B", "C"), [record.course.subject for record in records]
    periods = periods_of(procedures, subjects, codes)
    days, died = ([row[at] for row in EARLY + LATE] for at in (1, 2))
    arm = [codes.index(row[0].code) for row in EARLY + LATE]
    sample = Sample(tuple(days), tuple(died), tuple(arm), ("x",) * 8, codes, periods)
    again = run_arms(procedures, subjects, codes, repeats=300, seed=4)
    found = compare_pair(sample, Pair("A", "B"), again).rerandomization
    z = []
    for given in (np.array(arm), *again.given.T):
        mine = np.flatnonzero(given < 2)
        each = logrank(
            np.array(days)[mine], np.array(died)[mine], (given[mine] == 0).astype(int), mine // 4
        )
        z.append(getattr(each, "z", 0.0))
    assert found.as_extreme == sum(abs(np.array(z[1:])) >= abs(z[0]) - 1e-9)
    assert found.as_good == sum(np.array(z[1:]) <= z[0] + 1e-9)


def test_a_trend_over_time_is_no_effect_when_the_ratio_turns_round():
    """Who comes late lives longer, whatever the arm: 4:1 becomes 1:4, and no test may see it."""
    draw, trials, subjects = np.random.default_rng(8), 300, [str(each) for each in range(200)]
    codes, number = ("A", "B"), np.arange(200)
    procedures = [
        used((A, B), (4, 1), subjects[:100], [5]), used((A, B), (1, 4), subjects[100:], [5])
    ]  # fmt: skip
    periods = periods_of(procedures, subjects, codes)
    given = run_arms(procedures, subjects, codes, repeats=trials, seed=2).given.T
    rejected = np.zeros(2, int)
    for arm in given.tolist():
        hidden, left = draw.exponential(np.where(number < 100, 100, 400)), 300
        days, event = np.ceil(np.minimum(hidden, left)).astype(int), (hidden <= left).astype(int)
        sample = Sample(tuple(days), tuple(event), tuple(arm), ("x",) * 200, codes, periods)
        tests = (
            compare_pair(sample, Pair("A", "B"), None).logrank,
            logrank(days, event, 1 - np.array(arm)),
        )
        rejected += [test.p_two_sided <= 0.05 for test in tests]
    assert stats.binomtest(int(rejected[0]), trials, 0.05).pvalue > 1e-3
    assert rejected[1] > 0.9 * trials  # without the periods


def test_lists_of_one_ratio_are_one_period():
    """Another method or block size changes nobody's chance, nor does 4:2:2 for 2:1:1."""
    procedures = [
        used((A, B, C), (2, 1, 1), ("1", "2")),
        used((A, B, C), (2, 1, 1), ("3",), [8]),
        used((A, B, C), (4, 2, 2), ("4",), [8]),
        used((A, B), (2, 1), ("5",), [3]),
        used((A, B), (1, 1), ("6",), [2]),
        used((A, B, C), (2, 1, 1), ("7",)),
    ]
    found = periods_of(procedures, [str(each) for each in range(1, 8)], ("A", "C", "B"))
    assert [(each.codes, each.ratio, each.places) for each in found] == [
        (("A", "C", "B"), (2, 1, 1), (0, 1, 2, 3, 6)),
        (("A", "B"), (2, 1), (4,)),
        (("A", "B"), (1, 1), (5,)),
    ]


@pytest.mark.parametrize("arms", [(A, B), (A, B, C)])
def test_the_files_say_the_ratios_and_who_was_randomized_in_which(arms):
    records, procedures = a_trial(arms)
    files = build_package(records, CUT, study_title="S", procedures=procedures, arms=arms)
    results, text = json.loads(files["results.json"]), files["summary.txt"].decode()
    early, late = results["periods"]
    shown = sorted(arms, key=lambda arm: arm.control) if len(arms) > 2 else arms
    assert early["open_arms"] == late["open_arms"] == [arm.code for arm in shown]
    ratios = {"A": (2, 1), "B": (1, 2), "C": (1, 1)}
    for place, period in enumerate((early, late)):
        assert period["ratio"] == [ratios[arm.code][place] for arm in shown]
        name = ("early", "late")[place]
        assert period["subjects"] == [f"{name}-{each}" for each in range(len(records) // 2)]
    said = "A, B 2:1 (3); A, B 1:2 (3)" if len(arms) == 2 else "A, C, B 2:1:1 (4); A, C, B 1:1:2"
    assert said in " ".join(text.split())
    assert "are stratified by these periods too" in " ".join(text.split())
    assert max(len(line) for line in text.splitlines()) <= 100
    one = build_package(records, CUT, study_title="S", arms=arms)
    assert "these periods" not in one["summary.txt"].decode()


def test_a_package_of_two_arms_and_two_lists_has_room_for_every_subject():
    records = [
        SubjectRecord(Course(f"{number:06}", "1", "FR", {"s": "x"}, START), A)
        for number in range(900)
    ]
    numbers = [record.course.subject for record in records]
    procedures = [
        used((A, B), (1, 2), numbers[:450], [3]),
        used((A, B), (2, 1), numbers[450:], [3]),
    ]
    files = build_package(records, CUT, study_title="S", procedures=procedures, arms=(A, B))
    room = most_bytes(records, (A, B), CUT, procedures)
    assert len(pack(files)) < room
    assert len(files["results.json"]) > REST_BYTES
    assert room - most_bytes(records, (A, B), CUT) == 900 * 26
    assert most_bytes(records, (A, B), CUT, procedures[:1]) == most_bytes(records, (A, B), CUT)
