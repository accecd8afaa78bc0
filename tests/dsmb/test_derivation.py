"""The rules of events and censoring, the ADaM rows and the package built from them."""

import csv
import hashlib
import io
import json
from datetime import date, timedelta

import numpy as np
import pytest

from dsmb.analysis import (
    Arm,
    Course,
    DerivationError,
    Read,
    ReportError,
    SubjectRecord,
    build_package,
    check_manifest,
    count_deaths,
    count_events,
    cox,
    derive_adsl,
    derive_adtte,
    derive_outcome,
    logrank,
)
from dsmb.analysis.comparison import compare

START = date(2010, 1, 4)
CUT = date(2011, 2, 11)
EVEROLIMUS = Arm("EVE", "Everolimus + exemestane")
PLACEBO = Arm("PBO", "Placebo + exemestane", control=True)
STRATA = {"visceral": "yes", "sensitive": "no"}


def day(number):
    """Study day: 1 is the day of randomization."""
    return START + timedelta(days=number - 1)


def reads(text, reader="local"):
    """`43:SD 85:PD` as reads by one reader."""
    parts = (part.split(":") for part in text.split())
    return tuple(Read(reader, day(int(number)), response) for number, response in parts)


def course(subject="0101-001", **known):
    known.setdefault("randomized_on", START)
    return Course(subject=subject, centre="0101", country="FR", strata=STRATA, **known)


def outcome(param="PFSINV", cut=CUT, **known):
    found = derive_outcome(course(**known), cut, param)
    return (found.on - START).days + 1, found.cnsr, found.source.description


LAST = "Last evaluable tumour assessment"


@pytest.mark.requirement("REQ-068")
@pytest.mark.parametrize(
    ("known", "expected"),
    [
        # events
        ({"reads": reads("43:SD 85:PD 127:PD")}, (85, 0, "Progressive disease")),
        ({"reads": reads("43:SD"), "died_on": day(60)}, (60, 0, "Death")),
        ({"reads": reads("43:SD 85:PD"), "died_on": day(60)}, (60, 0, "Death")),
        ({"reads": reads("85:PD"), "died_on": day(85)}, (85, 0, "Progressive disease")),
        ({"died_on": day(1)}, (1, 0, "Death")),
        ({"reads": reads("85:PD"), "new_therapy_on": day(85)}, (85, 0, "Progressive disease")),
        ({"reads": reads("85:PD"), "new_therapy_on": day(86)}, (85, 0, "Progressive disease")),
        ({"reads": reads("85:PD"), "withdrew_on": day(50)}, (85, 0, "Progressive disease")),
        # censoring
        ({"reads": reads("43:SD 85:PR")}, (85, 1, LAST)),
        ({"reads": reads("43:SD 85:NE")}, (43, 1, LAST)),
        ({"reads": reads("43:SD 85:PD"), "new_therapy_on": day(84)}, (43, 2, LAST)),
        ({"reads": reads("43:SD 85:SD"), "new_therapy_on": day(85)}, (43, 2, LAST)),
        ({"reads": reads("43:SD"), "new_therapy_on": day(50), "died_on": day(60)}, (43, 2, LAST)),
        ({"reads": reads("43:SD"), "withdrew_on": day(50)}, (43, 3, LAST)),
        (
            {"reads": reads("43:SD"), "withdrew_on": day(50), "new_therapy_on": day(60)},
            (43, 2, LAST),
        ),
        ({}, (1, 4, "Randomization")),
        ({"reads": reads("43:NE")}, (1, 4, "Randomization")),
        ({"reads": reads("-5:SD")}, (1, 4, "Randomization")),
        ({"reads": reads("-5:PD 43:SD")}, (43, 1, LAST)),
        ({"withdrew_on": day(10)}, (1, 4, "Randomization")),
        ({"reads": reads("43:SD", "central")}, (1, 4, "Randomization")),
    ],
)
def test_progression_free_survival_rules(known, expected):
    assert outcome(**known) == expected


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"reads": reads("43:SD 85:PD")}, (43, 1, LAST)),
        ({"reads": reads("43:SD"), "died_on": day(86)}, (43, 1, LAST)),
        ({"reads": reads("43:SD"), "new_therapy_on": day(85)}, (43, 1, LAST)),
        ({"reads": reads("43:SD"), "withdrew_on": day(85)}, (43, 1, LAST)),
        ({"reads": reads("43:SD 84:PD")}, (84, 0, "Progressive disease")),
        ({"reads": reads("43:SD"), "died_on": day(84)}, (84, 0, "Death")),
    ],
)
def test_what_is_dated_after_the_cut_is_ignored(known, expected):
    assert outcome(cut=day(84), **known) == expected


def test_each_reader_has_an_end_point():
    both = reads("43:SD 85:PD") + reads("43:SD 85:SD 127:SD", "central")
    assert outcome("PFSINV", reads=both) == (85, 0, "Progressive disease")
    assert outcome("PFSIRC", reads=both) == (127, 1, LAST)


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"died_on": day(90), "new_therapy_on": day(50)}, (90, 0, "Death")),
        ({}, (1, 1, "Randomization")),
        ({"first_dose_on": day(3)}, (3, 1, "First dose")),
        ({"reads": reads("43:NE"), "first_dose_on": day(3)}, (43, 1, "Tumour assessment")),
        ({"reads": reads("43:SD"), "last_contact_on": day(99)}, (99, 1, "Last contact")),
        ({"reads": reads("43:SD"), "withdrew_on": day(50)}, (43, 3, "Tumour assessment")),
        ({"reads": reads("43:SD"), "last_contact_on": day(900)}, (43, 1, "Tumour assessment")),
        ({"died_on": day(900), "last_contact_on": day(80)}, (80, 1, "Last contact")),
    ],
)
def test_overall_survival_rules(known, expected):
    assert outcome("OS", **known) == expected


def test_pooled_counts_need_no_arm():
    courses = [
        course("1", reads=reads("43:PD")),
        course("2", reads=reads("43:PD", "central")),
        course("3", died_on=day(20)),
        course("4", reads=reads("43:SD")),
        course("5", randomized_on=CUT + timedelta(days=1), died_on=CUT + timedelta(days=2)),
    ]
    assert count_events(courses, CUT, "local") == 2
    assert count_events(courses, CUT, "central") == 2
    assert count_events(courses, day(42), "local") == 1
    assert count_deaths(courses, CUT) == 1


def test_adtte_rows_follow_adam():
    treated = course(
        reads=reads("43:SD 85:PD") + reads("43:SD 85:SD", "central"), last_contact_on=day(90)
    )
    rows = derive_adtte([SubjectRecord(treated, EVEROLIMUS)], CUT)
    assert [row["PARAMCD"] for row in rows] == ["PFSINV", "PFSIRC", "OS"]
    investigator, central, survival = rows
    assert investigator["STARTDT"] == START
    assert (investigator["ADT"], investigator["AVAL"], investigator["CNSR"]) == (day(85), 85, 0)
    assert (investigator["EVNTDESC"], investigator["CNSDTDSC"]) == ("Progressive disease", None)
    # Reads by date, then reader: central 43, local 43, central 85, local 85.
    assert [investigator[v] for v in ("SRCDOM", "SRCVAR", "SRCSEQ")] == ["RS", "RSDTC", 4]
    assert (central["AVAL"], central["CNSR"], central["SRCSEQ"]) == (85, 1, 3)
    assert central["EVNTDESC"] == "Censored: no event at the data cut"
    assert central["CNSDTDSC"] == "Last evaluable tumour assessment"
    assert (survival["AVAL"], survival["SRCDOM"], survival["SRCSEQ"]) == (90, "DS", None)
    assert {row["TRT01P"] for row in rows} == {"Everolimus + exemestane"}


def test_adsl_row_knows_nothing_after_the_cut():
    later = CUT + timedelta(days=1)
    known = course(age=61, first_dose_on=day(2), drug_stopped_on=later, died_on=later)
    row = derive_adsl([SubjectRecord(known, PLACEBO)], CUT)[0]
    assert (row["RANDDT"], row["TRTSDT"], row["TRTEDT"]) == (START, day(2), None)
    assert (row["ITTFL"], row["SAFFL"], row["DTHFL"], row["DTHDT"]) == ("Y", "Y", None, None)
    assert (row["TRT01P"], row["TRT01A"]) == ("Placebo + exemestane", "Placebo + exemestane")
    assert (row["STRATAR"], row["STRATARN"]) == ("visceral=yes, sensitive=no", 1)
    assert (row["STRAT1D"], row["STRAT1R"], row["STRAT2D"]) == ("visceral", "yes", "sensitive")
    assert (row["AGE"], row["AGEU"], row["DCUTDT"]) == (61, "YEARS", CUT)
    untreated = derive_adsl([SubjectRecord(course(), PLACEBO)], CUT)[0]
    assert (untreated["SAFFL"], untreated["TRT01A"], untreated["TRTSDT"]) == ("N", None, None)


def test_subjects_randomized_after_the_cut_are_left_out():
    late = SubjectRecord(course("2", randomized_on=CUT + timedelta(days=1)), PLACEBO)
    assert derive_adsl([late], CUT) == []
    assert derive_adtte([late], CUT) == []
    with pytest.raises(ValueError, match="randomized after the data cut"):
        derive_outcome(late.course, CUT, "OS")


def test_records_that_cannot_be_true_are_refused():
    with pytest.raises(DerivationError, match=r"subject 0101-001: died_on is 2010-01-03, before"):
        course(died_on=day(0))
    with pytest.raises(DerivationError, match="says 'CRX'"):
        course(reads=(Read("local", day(43), "CRX"),))
    twice = [SubjectRecord(course(), PLACEBO)] * 2
    with pytest.raises(DerivationError, match="given twice"):
        derive_adsl(twice, CUT)
    other = Course("9", "0101", "FR", {"sensitive": "no"}, START)
    with pytest.raises(DerivationError, match="stratification factors"):
        derive_adsl([SubjectRecord(course(), PLACEBO), SubjectRecord(other, PLACEBO)], CUT)


def trial(size=240, seed=7):
    """A small two-arm trial with scans every six weeks and some deaths."""
    draw = np.random.default_rng(seed)
    records = []
    for number in range(size):
        arm = PLACEBO if number % 3 == 2 else EVEROLIMUS
        hidden = draw.exponential(100 if arm.control else 220)
        scans = [43 + 42 * k for k in range(8)]
        seen = [(n, "PD" if n > hidden else "SD") for n in scans]
        upto = next((i for i, (_, r) in enumerate(seen) if r == "PD"), len(seen) - 1)
        mine = tuple(
            Read(reader, day(n), r) for n, r in seen[: upto + 1] for reader in ("local", "central")
        )
        died = day(int(draw.integers(1, 400))) if draw.random() < 0.1 else None
        strata = {"visceral": "yes" if draw.random() < 0.5 else "no", "sensitive": "yes"}
        known = Course(
            f"{number:04}", "0101", "FR", strata, START, day(2), None, mine, None, None, died
        )
        records.append(SubjectRecord(known, arm))
    return records


def package(records, **options):
    return build_package(records, CUT, study_title="A study", **options)


def test_package_holds_the_datasets_and_the_numbers():
    records = trial()
    files = package(records, simulated_note="Simulated subjects, not a trial.")
    assert sorted(files) == [
        "adsl.csv", "adtte.csv", "manifest.json", "results.json", "summary.txt",
    ]  # fmt: skip
    results = json.loads(files["results.json"])
    rows = list(csv.DictReader(io.StringIO(files["adtte.csv"].decode())))
    assert len(rows) == 3 * len(records)
    for param in ("PFSINV", "PFSIRC", "OS"):
        mine = [row for row in rows if row["PARAMCD"] == param]
        columns = (
            [int(row["AVAL"]) for row in mine],
            [int(row["CNSR"] == "0") for row in mine],
            [int(row["TRT01P"] == EVEROLIMUS.label) for row in mine],
            [row["STRATAR"] for row in mine],
        )
        point = results["end_points"][param]
        assert point["logrank"]["chi2"] == pytest.approx(logrank(*columns).chi2, rel=1e-9)
        assert point["hazard_ratio"]["hazard_ratio"] == pytest.approx(
            cox(*columns).hazard_ratio, rel=1e-9
        )
        assert sum(arm["events"] for arm in point["arms"]) == sum(columns[1])
        assert [sum(arm["censored"].values()) + arm["events"] for arm in point["arms"]] == [160, 80]
    middle = results["end_points"]["PFSINV"]["arms"][0]["median_days"]
    assert middle["estimate_months"] == pytest.approx(middle["estimate"] / 30.4375)
    assert results["end_points"]["PFSINV"]["hazard_ratio"]["high"] < 1


def test_summary_is_one_page_and_says_what_is_simulated():
    files = package(trial(), simulated_note="Simulated subjects, not a trial.")
    text = files["summary.txt"].decode()
    assert len(text.splitlines()) <= 60
    assert max(map(len, text.splitlines())) <= 100
    assert "NOTE: Simulated subjects, not a trial." in text
    assert json.loads(files["results.json"])["note"] == "Simulated subjects, not a trial."
    assert "Everolimus + exemestane" in text
    assert "Placebo + exemestane (control)" in text
    assert "NOTE" not in package(trial())["summary.txt"].decode()


def test_package_bytes_are_the_same_whatever_the_order():
    records = trial(60)
    files = package(records)
    assert package(list(reversed(records))) == files
    assert not any(b"\r" in content for content in files.values())


def test_manifest_lists_the_hash_of_every_file():
    files = package(trial(60))
    listed = json.loads(files["manifest.json"])["sha256"]
    assert listed["adtte.csv"] == hashlib.sha256(files["adtte.csv"]).hexdigest()
    assert check_manifest(files) == []
    changed = files | {"adsl.csv": files["adsl.csv"] + b"x", "other.txt": b""}
    assert check_manifest(changed) == ["adsl.csv", "other.txt"]
    assert check_manifest({"adsl.csv": b""}) == ["manifest.json"]


@pytest.mark.parametrize(
    ("records", "reason"),
    [
        ([], "no subjects in one of the arms"),
        ([SubjectRecord(course("1", died_on=day(9)), PLACEBO)], "no subjects in one of the arms"),
        (
            [SubjectRecord(course("1"), PLACEBO), SubjectRecord(course("2"), EVEROLIMUS)],
            "no events in either arm",
        ),
        (
            [
                SubjectRecord(course("1", died_on=day(9)), PLACEBO),
                SubjectRecord(course("2", last_contact_on=day(99)), EVEROLIMUS),
                SubjectRecord(course("3", last_contact_on=day(99)), PLACEBO),
            ],
            "the experimental arm has no events",
        ),
    ],
)
def test_a_package_comes_out_whatever_cannot_be_estimated(records, reason):
    files = package(records)
    survival = json.loads(files["results.json"])["end_points"]["OS"]
    assert reason in survival["hazard_ratio"]["cannot_be_estimated"]
    text = files["summary.txt"].decode()
    assert reason in " ".join(text.split())
    assert "cannot be estimated:" in text
    assert max(map(len, text.splitlines())) <= 100


def test_hazard_ratio_is_the_other_arm_to_control():
    swapped = [SubjectRecord(r.course, EVEROLIMUS if r.arm.control else PLACEBO) for r in trial()]
    ours, theirs = compare(trial(), CUT).end_points[0], compare(swapped, CUT).end_points[0]
    assert theirs.hazard_ratio.beta == pytest.approx(-ours.hazard_ratio.beta)
    assert ours.hazard_ratio.hazard_ratio < 1
    assert ours.logrank.z < 0


def test_counts_by_arm():
    courses = [
        course("1", first_dose_on=day(2)),
        course("2", first_dose_on=day(2), drug_stopped_on=day(30)),
        course("3", first_dose_on=day(2), died_on=day(30)),
        course("4", first_dose_on=day(2), drug_stopped_on=CUT + timedelta(days=1)),
        course("5"),
    ]
    (counts,) = compare([SubjectRecord(known, PLACEBO) for known in courses], CUT).counts
    assert (counts.randomized, counts.treated) == (5, 4)
    assert (counts.on_treatment, counts.deaths) == (2, 1)


def test_two_arms_need_one_control():
    records = [
        SubjectRecord(course(str(n)), arm) for n, arm in enumerate([EVEROLIMUS, Arm("X", "Third")])
    ]
    with pytest.raises(ReportError, match="marked as the control"):
        package(records)
