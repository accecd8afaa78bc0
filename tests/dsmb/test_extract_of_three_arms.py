"""A study of three arms from its list to the numbers that the committee reads."""

import csv
import io
import json
import random
import re
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyrage
import pytest
from django.db import connection
from statsmodels.duration.survfunc import survdiff

from assessments.services import record_contact, record_event, record_read
from dsmb import analysis, services
from dsmb.models import DataCut, Extract
from dsmb.unblinded import services as unblinded
from dsmb.unblinded.procedures import procedures
from enrolment.models import Subject
from iwrs import clock, studies
from iwrs.actors import SYSTEM, Actor
from iwrs.definition import LoadedDefinition, parse_definition
from iwrs.models import Study
from iwrs.signatures import Signature
from randomization.unblinded import services as lists
from tests import factories as make
from tests.dsmb.rows import as_owner
from tests.roles import as_unblinded

CUT = date(2010, 10, 1)
LOW = '[[arms]]\ncode = "LOW"\nlabel = "Low dose + exemestane"\nratio = 1\n\n# Four strata'
pytestmark = pytest.mark.usefixtures("committed_db")


def three_arms(*, control: str = "PBO", closed: str = "", method: str = "permuted-blocks"):
    """BOLERO-2 with a third arm, 2:1:1."""
    text = make.small_definition("three", length=24, method=method).text
    text = text.replace("# Four strata", LOW, 1)
    text = re.sub(r"(?m)^(contents = \{)", r'\1 LOW = "Low dose, bottle of 50",', text)
    sizes = "[3, 6]" if closed else "[4, 8]"
    text = re.sub(r"block_sizes = \[3, 6\]", f"block_sizes = {sizes}", text)
    for code, key in ((control, "control"), (closed, "closed")):
        text = text.replace(f'code = "{code}"', f'code = "{code}"\n{key} = true', 1)
    return parse_definition(text, source="three arms")


class Trial:
    """Two lists, the second without LOW; subjects randomized and followed by the study's verbs."""

    def __init__(self, first: int, later: int = 0, **more: str) -> None:
        self.people = random.Random(5)
        with clock.at(make.at(2010, 1, 4)):
            loaded = three_arms(**more)
            self.study = studies.load(loaded, by=make.TESTER, list_exists=lambda s: False).study
            make.an_active_list(self.study)
            studies.set_status(self.study, "open", by=make.TESTER)
            self.centre = make.a_centre(self.fresh(), cover=-(-(first + later) // 6))
        self.key = pyrage.x25519.Identity.generate()
        with as_unblinded():
            public = str(self.key.to_public())
            unblinded.register_recipient_key(self.study, "dsmb", public, by=SYSTEM)
        self.subjects = [self.randomized(number) for number in range(first)]
        if later:
            self.drop_low(three_arms(closed="LOW", **more))
            self.subjects += [self.randomized(first + number) for number in range(later)]
        with clock.at(make.at(2010, 12, 1)):
            for subject in self.subjects:
                self.follow(subject)

    def fresh(self) -> Study:
        return Study.objects.get(pk=self.study.pk)

    def randomized(self, number: int) -> Subject:
        with clock.at(datetime(2010, 1, 5, 9, tzinfo=UTC) + timedelta(days=2 * number)):
            level = "yes" if number % 2 else "no"
            return make.a_randomized_subject(
                self.centre, strata={"visceral": level, "sensitive": "yes"}
            )

    def drop_low(self, loaded: LoadedDefinition) -> None:
        by = make.STATISTICIANS
        studies.load(loaded, by=make.TESTER, list_exists=lambda s: True, next_list=True)
        with as_unblinded():
            made = lists.generate_list(self.fresh(), by=by[0])
            for person in by[1:]:
                signature = Signature(person.label, clock.now(), "I approve this list")
                made = lists.approve_list(made, by=person, signature=signature)

    def follow(self, subject: Subject) -> None:
        """Three scans with a progression at one of them or never; some die, and the others are
        seen until the cut: whatever the list, each arm is at risk when somebody dies.
        """
        start = subject.randomized_at.date()
        worse = self.people.randrange(1, 5)
        for scan in range(1, min(worse, 3) + 1):
            on, response = start + timedelta(days=42 * scan), "PD" if scan == worse else "SD"
            for reader in ("local", "central"):
                record_read(
                    subject, reader, by=make.TESTER, assessed_on=on, response=response, read_on=on
                )
        if self.people.random() < 0.4:
            died = start + timedelta(days=self.people.randrange(130, 180))
            record_event(subject, "death", by=make.TESTER, on=died)
        else:
            record_contact(subject, by=make.TESTER, on=CUT)

    def cut(self) -> DataCut:
        with clock.at(make.at(2010, 12, 1)):
            return services.cut_data(self.study, by=make.TESTER, on=CUT, reason="Interim")

    def extract(self, cut: DataCut) -> Extract:
        made = services.request_extract(
            self.fresh(), cut, recipient="dsmb", by=make.TESTER, reason="Look 1"
        )
        with as_unblinded():
            assert unblinded.work_extracts() == 1
        made.refresh_from_db()
        return made

    def opened(self, made: Extract) -> dict[str, bytes]:
        """As the committee does: the released file and its own key."""
        manager = Actor(label="Manager <m@example.org>")
        signature = Signature(manager.label, clock.now(), "I release")
        services.release_extract(made, by=manager, signature=signature)
        return analysis.unseal(services.sealed_file(made), str(self.key))


def rows_of(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


@pytest.mark.requirement("REQ-069")
def test_the_committee_reads_three_arms_one_of_which_was_dropped():
    trial = Trial(24, 16)
    made = trial.extract(trial.cut())
    assert made.status == "ready"
    files = trial.opened(made)
    assert analysis.check_manifest(files) == []
    results, adsl = json.loads(files["results.json"]), rows_of(files["adsl.csv"])
    true = {subject.number: make.arm_of(subject) for subject in trial.subjects}
    assert {row["USUBJID"]: row["ARMCD"] for row in adsl} == true
    arms = {arm["code"]: arm for arm in results["arms"]}
    assert list(arms) == ["EVE", "LOW", "PBO"]
    assert [arm["control"] for arm in arms.values()] == [False, False, True]
    assert {code: arm["randomized"] for code, arm in arms.items()} == {
        code: list(true.values()).count(code) for code in arms
    }
    early, late = results["periods"]
    assert (early["open_arms"], late["open_arms"]) == (["EVE", "LOW", "PBO"], ["EVE", "PBO"])
    numbers = [subject.number for subject in trial.subjects]
    assert (early["subjects"], late["subjects"]) == (sorted(numbers[:24]), sorted(numbers[24:]))
    for param in ("PFSINV", "PFSIRC", "OS"):
        rows = [row for row in rows_of(files["adtte.csv"]) if row["PARAMCD"] == param]
        check_end_point(results["end_points"][param], rows, true, set(late["subjects"]))
    count = services.count_events(trial.fresh(), on=CUT)
    total = {
        param: sum(arm["events"] for arm in point["arms"])
        for param, point in results["end_points"].items()
    }
    assert total == {"PFSINV": count.local, "PFSIRC": count.central, "OS": count.deaths}
    assert min(total.values()) > 0
    text = files["summary.txt"].decode()
    assert max(len(line) for line in text.splitlines()) <= 100
    assert "LOW  Low dose + exemestane" in text
    assert "PBO  Placebo + exemestane (control)" in text


def check_end_point(point, rows, true, late):
    """Every number against statsmodels and the two-arm code, from the rows that were sent."""
    time = np.array([int(row["AVAL"]) for row in rows])
    event = np.array([int(row["CNSR"] == "0") for row in rows])
    arm = np.array([true[row["USUBJID"]] for row in rows])
    after = np.array([row["USUBJID"] in late for row in rows])
    stratum = np.array([int(row["STRATARN"]) for row in rows])
    overall = point["overall_logrank"]
    chi2, p = survdiff(time, event, arm, strata=stratum + 100 * after)
    assert (overall["chi2"], overall["p"]) == (pytest.approx(chi2), pytest.approx(p))
    assert overall["degrees_of_freedom"] == 2
    for each in point["arms"]:
        mine = arm == each["code"]
        assert (each["subjects"], each["events"]) == (mine.sum(), event[mine].sum())
    assert [(each["first"], each["second"]) for each in point["pairs"]] == [
        ("EVE", "PBO"),
        ("LOW", "PBO"),
    ]
    for each in point["pairs"]:
        both = np.isin(arm, (each["first"], each["second"]))
        mine = both & ~after if each["first"] == "LOW" else both
        assert (each["subjects"], each["left_out"]) == (mine.sum(), (both & ~mine).sum())
        group = (arm[mine] == each["first"]).astype(int)
        columns = time[mine], event[mine], group, (stratum + 100 * after)[mine]
        test = analysis.logrank(*columns)
        same(each["logrank"], test, "z")
        same(each["hazard_ratio"], analysis.cox(*columns), "hazard_ratio")
        again = each["rerandomization"]
        if isinstance(test, analysis.NotEstimable):
            same(again, test, "")
        else:
            assert again["repeats"] == 5_000
            assert again["p_two_sided"] == pytest.approx((1 + again["as_extreme"]) / 5_001)


def same(sent, value, key):
    """The list is a new one in every run, and now and then a number cannot be estimated."""
    if isinstance(value, analysis.NotEstimable):
        assert sent == {"cannot_be_estimated": value.reason}
    else:
        assert sent[key] == pytest.approx(getattr(value, key), rel=1e-8)


def test_two_lists_and_every_list_make_one_size():
    """The same subjects with other arms, and all of them in one arm: ready, and of one size."""
    trial = Trial(12)
    cut = trial.cut()
    turn = "CASE arm WHEN 'EVE' THEN 'PBO' WHEN 'PBO' THEN 'LOW' ELSE 'EVE' END"
    found = [trial.extract(cut)]
    for arm in (turn, "'EVE'", "'LOW'", "'PBO'"):
        with as_owner(), connection.cursor() as cursor:
            cursor.execute(f"UPDATE unblinded.allocation SET arm = {arm}")
        found.append(trial.extract(cut))
    assert {each.status for each in found} == {"ready"}
    announced = trial.fresh().definition.release.package_kib * 1024
    assert {each.size for each in found} == {analysis.ciphertext_size(announced, 1)}
    assert len({each.sha256 for each in found}) == 5
    inside = [trial.opened(each) for each in found]
    sizes = {len(files["results.json"]) for files in inside}
    assert len(sizes) > 1
    alone = json.loads(inside[2]["results.json"])
    assert [arm["randomized"] for arm in alone["arms"]] == [12, 0, 0]


def test_without_a_control_every_pair_is_compared():
    trial = Trial(12, control="none")
    files = trial.opened(trial.extract(trial.cut()))
    point = json.loads(files["results.json"])["end_points"]["PFSINV"]
    assert [(each["first"], each["second"]) for each in point["pairs"]] == [
        ("EVE", "PBO"),
        ("EVE", "LOW"),
        ("PBO", "LOW"),
    ]
    assert "marks no arm as control" in " ".join(files["summary.txt"].decode().split())


def test_minimization_among_three_arms_is_run_again():
    trial = Trial(12, method="minimization")
    with as_unblinded():
        used = procedures(trial.fresh(), "")
    numbers = [subject.number for subject in trial.subjects]
    given = analysis.run_arms(used, numbers, ["EVE", "PBO", "LOW"], repeats=300).given
    shares = [(given == place).mean() for place in range(3)]
    assert shares == pytest.approx([0.5, 0.25, 0.25], abs=0.05)
    point = json.loads(trial.opened(trial.extract(trial.cut()))["results.json"])["end_points"]
    again = point["PFSINV"]["pairs"][0]["rerandomization"]
    assert "p_two_sided" in again or "cannot_be_estimated" in again
