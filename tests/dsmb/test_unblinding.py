"""The planned unblinding of a whole study: when it is due, by two people, with proofs for all."""

import csv
import io
import json
import re
import runpy
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from threading import Thread

import psycopg
import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from assessments.services import record_event
from dsmb.services import cut_data
from dsmb.unblinded import unblinding
from iwrs import acts, clock, studies
from iwrs.accounts.models import Role
from iwrs.audit_trail.models import Access
from iwrs.definition import DefinitionError, parse_definition
from iwrs.models import Study
from iwrs.problems import Problem
from iwrs.signatures import Signature
from randomization.models import ListCommitment, OpenedAllocation, OpenedStudy
from randomization.unblinded.bundle import SCRIPT
from randomization.unblinded.models import Allocation, ForcedAllocation, RandomizationList
from randomization.unblinded.models_life import Unblinding
from tests import factories as make
from tests.roles import Logins, as_unblinded
from tests.signing import components
from tests.unblinded_site.conftest import Browser, unblinded_side  # noqa: F401

FIRST, SECOND = make.STATISTICIANS[:2]
PROGRAM = SCRIPT.with_name("verify_opened.py")
CONDITION = '\n[unblinding]\nendpoint = "OS"\nevents = 2\n'
DAY = date(2010, 6, 1)


def a_study_at_its_end(*, deaths: int = 2, cut: bool = True, method: str = "") -> Study:
    """Seven subjects, some dead, the data cut, accrual closed."""
    text = make.small_definition("end", length=12, method=method or "permuted-blocks").text
    loaded = parse_definition(text + CONDITION, source="test study")
    with clock.at(make.at(2010, 2, 1)):
        study = studies.load(loaded, by=make.TESTER, list_exists=lambda study: False).study
        make.an_active_list(study)
        studies.set_status(study, "open", by=make.TESTER)
        centre = make.a_centre(study, cover=2)
        subjects = [make.a_randomized_subject(centre) for _ in range(7)]
    with clock.at(make.at(2010, 7, 1)):
        for subject in subjects[:deaths]:
            record_event(subject, "death", by=make.TESTER, on=DAY - timedelta(30))
        if cut:
            cut_data(study, by=make.TESTER, on=DAY, reason="Final analysis")
        return studies.set_status(study, "closed", by=make.TESTER)


def unblind(study: Study, *people) -> Unblinding:
    with as_unblinded():
        for person in people:
            signature = Signature(person.label, clock.now(), "The study is to be unblinded")
            made = unblinding.unblind(study, by=person, signature=signature)
    return made


def refusal(study: Study, *people) -> str:
    with pytest.raises(Problem) as refused:
        unblind(study, *people)
    return refused.value.code


class TestWhenItIsDue:
    def test_not_without_the_events_or_the_cut_or_while_accrual_goes_on(self, db):
        for study in (a_study_at_its_end(deaths=1), a_study_at_its_end_named("b", cut=False)):
            assert refusal(study, FIRST) == "unblinding_not_due"
        open_study = make.a_study(length=9)
        assert refusal(open_study, FIRST) == "unblinding_not_due"
        with as_unblinded():
            assert not Unblinding.objects.exists()

    def test_by_itself_the_interim_analysis_says_when(self):
        definition = make.small_definition().definition
        condition = definition.unblinded_at
        assert (condition.endpoint, condition.events) == (
            definition.interim.endpoint,
            definition.interim.planned_events,
        )

    @pytest.mark.parametrize(
        ("table", "what"),
        [
            ('endpoint = "TTECOG"\nevents = 2', "must be an end point of progression or death"),
            ('endpoint = "OS"\nevents = 100000', "one event at most"),
            ('endpoint = "OS"\nevents = 0', "must be 1 or more"),
            ('endpoint = "OS"', "this key is needed"),
        ],
    )
    def test_a_wrong_condition(self, table, what):
        with pytest.raises(DefinitionError) as refused:
            parse_definition(f"{make.bolero2_text()}\n[unblinding]\n{table}\n", source="test")
        assert what in str(refused.value)


def a_study_at_its_end_named(code: str, **more) -> Study:
    kept = make.small_definition
    try:
        make.small_definition = lambda _code, **named: kept(code, **named)
        return a_study_at_its_end(**more)
    finally:
        make.small_definition = kept


class TestTwoPeople:
    def test_the_first_signature_opens_nothing(self, db):
        study = a_study_at_its_end()
        unblind(study, FIRST)
        assert not OpenedAllocation.objects.exists()
        assert refusal(study, FIRST) == "same_person"
        assert Study.objects.filter(pk=study.pk).filter(list_in_use_of()).exists()

    def test_the_second_opens_every_treatment_and_closes_the_list(self, db):
        study = a_study_at_its_end()
        unblind(study, FIRST, SECOND)
        rows = list(OpenedAllocation.objects.select_related("subject"))
        assert len(rows) == 7
        assert all(row.proof["arm"] == make.arm_of(row.subject) for row in rows)
        assert not ListCommitment.objects.filter(study=study, active=True).exists()
        with as_unblinded():
            assert RandomizationList.objects.get(study=study).status == "closed"
        assert refusal(study, make.STATISTICIANS[2]) == "study_opened"

    def test_two_second_signatures_at_once(self, committed_db, monkeypatch):
        monkeypatch.setattr(acts, "LOCK_TIMEOUT", "60s")
        study = a_study_at_its_end()
        unblind(study, FIRST)
        said: list[str] = []

        def sign(person) -> None:
            try:
                said.append(unblind(study, person).second_by)
            except Problem as problem:
                said.append(problem.code)
            finally:
                connection.close()

        threads = [Thread(target=sign, args=(each,)) for each in make.STATISTICIANS[1:]]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert "study_opened" in said
        assert OpenedStudy.objects.count() == 1
        assert OpenedAllocation.objects.count() == 7


def list_in_use_of():
    from django.db.models import Exists, OuterRef

    return Exists(ListCommitment.objects.filter(study=OuterRef("pk"), active=True))


def proofs_of(study: Study, path: Path) -> list[str]:
    """Write the proofs to a file; the roots that were published."""
    from dsmb import opened

    path.write_text(opened.as_json(study), encoding="utf-8")
    return [each.merkle_root for each in ListCommitment.objects.filter(study=study)]


def run(path: Path, *roots: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", str(PROGRAM), str(path), *roots]
    return subprocess.run(command, capture_output=True, text=True, cwd="/", check=False)


class TestProofs:
    @pytest.mark.requirement("REQ-059")
    @pytest.mark.parametrize("method", ["permuted-blocks", "urn", "minimization"])
    def test_everybody_can_check_them_against_the_published_root(self, db, tmp_path, method):
        study = a_study_at_its_end(method=method)
        unblind(study, FIRST, SECOND)
        roots = proofs_of(study, tmp_path / "p.json")
        ran = run(tmp_path / "p.json", *roots)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "Every proof is right.\n", "")
        assert run(tmp_path / "p.json", "ab" * 32).returncode == 1

    def test_one_changed_value_is_found(self, db, tmp_path):
        study = a_study_at_its_end()
        unblind(study, FIRST, SECOND)
        roots = proofs_of(study, tmp_path / "p.json")
        check = runpy.run_path(str(PROGRAM))["check"]
        text = (tmp_path / "p.json").read_text()
        assert list(check(json.loads(text), roots)) == []
        # Not the size: for most places one entry more or less leads to the same root.
        for key in ("arm", "entry", "stratum", "position", "block", "salt", "index", "path"):
            changed = json.loads(text)
            value = changed["subjects"][2][key]
            if isinstance(value, int):
                value += 1
            elif isinstance(value, list):
                value = value[:-1]
            else:
                value = value[:-1] + ("1" if value[-1] == "0" else "0")
            changed["subjects"][2][key] = value
            who = f"subject {changed['subjects'][2]['subject']}"
            assert any(each.startswith(who) for each in check(changed, roots)), key


def test_a_forced_arm_is_told_beside_its_place(db, tmp_path):
    study = a_study_at_its_end()
    with as_unblinded():
        allocation = Allocation.objects.select_related("subject").order_by("pk")[2]
    other = {"EVE": "PBO", "PBO": "EVE"}[allocation.arm]
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE iwrs_owner")
        cursor.execute(
            "UPDATE unblinded.allocation SET arm = %s WHERE id = %s", [other, allocation.pk]
        )
        cursor.execute("SET ROLE iwrs_blinded")
    unblind(study, FIRST, SECOND)
    roots = proofs_of(study, tmp_path / "p.json")
    who = f"subject {allocation.subject.number}"
    check = runpy.run_path(str(PROGRAM))["check"]
    opened = json.loads((tmp_path / "p.json").read_text())
    assert list(check(opened, roots)) == [f"{who}: the treatment is not that of the place"]
    [row] = [each for each in opened["subjects"] if each["subject"] == allocation.subject.number]
    row["forced"] = True
    assert list(check(opened, roots)) == []
    row["entry"] = "1"  # of a dynamic method
    assert f"{who}: no person can name a treatment in this list" in list(check(opened, roots))


def test_the_program_lists_the_subjects_whose_arm_a_person_named(db, tmp_path):
    study = a_study_at_its_end()
    with as_unblinded():
        allocation = Allocation.objects.select_related("subject").order_by("pk")[2]
        ForcedAllocation.objects.create(
            subject=allocation.subject, study=study, arm=allocation.arm, reason="x", forced_by="x"
        )
    unblind(study, FIRST, SECOND)
    ran = run(tmp_path / "p.json", *proofs_of(study, tmp_path / "p.json"))
    assert ran.returncode == 0
    assert ran.stdout.splitlines() == [
        "Every proof is right.",
        "Treatments not of the own place (named by a person, or told on paper): "
        f"1 {allocation.subject.number}",
    ]


class TestPages:
    def test_from_blinded_to_open(self, db, unblinded_side, settings):  # noqa: F811
        study = a_study_at_its_end()
        with as_unblinded():
            people = [make.a_user(Role.UNBLINDED_STATISTICIAN, study=study) for _ in range(2)]
        first, second = (Browser(each) for each in people)
        address = reverse("unblind-study", args=[study.code])
        assert address in first.get("/").content.decode()
        page = first.get(address).content.decode()
        assert "2 events of OS at a data cut" in page
        assert first.post(address, **components(people[0], first.get(address))).status_code == 302
        again = first.post(address, **components(people[0], first.get(address)))
        assert again.status_code == 409
        assert "unblinded by two people" in again.content.decode()
        wrong = components(people[1], second.get(address), password="a guess of mine")
        assert second.post(address, **wrong).status_code == 422
        done = second.post(address, **components(people[1], second.get(address)))
        assert done.status_code == 302
        assert "The study is unblinded." in second.get(address).content.decode()

    def test_before_it_is_due_the_page_says_why(self, db, unblinded_side):  # noqa: F811
        study = make.a_study(length=9)
        with as_unblinded():
            person = make.a_user(Role.UNBLINDED_STATISTICIAN, study=study)
        browser = Browser(person)
        address = reverse("unblind-study", args=[study.code])
        assert "not closed to accrual" in browser.get(address).content.decode()
        refused = browser.post(address, **components(person, browser.get(address)))
        assert refused.status_code == 409

    @pytest.mark.requirement("REQ-043")
    def test_blinded_people_see_nothing_before_and_everything_after(self, db):
        study = a_study_at_its_end()
        person = make.a_user(Role.STUDY_MANAGER, study=study)
        browser = Client()
        browser.force_login(person)
        page = reverse("opened", args=[study.code])
        files = [reverse(name, args=[study.code]) for name in ("opened-csv", "opened-proofs")]
        unblind(study, FIRST)
        assert "This study is blinded" in browser.get(page).content.decode()
        assert [browser.get(each).status_code for each in files] == [409, 409]
        assert not Access.objects.exists()  # there was nothing to look at
        unblind(study, SECOND)
        shown = browser.get(page).content.decode()
        [look] = Access.objects.all()
        assert (look.page, look.by, look.role, look.study_code, look.copied) == (
            "the treatments of the unblinded study",
            *(str(person), Role.STUDY_MANAGER, study.code, False),
        )
        assert len(re.findall(r'data-label="Treatment">(EVE|PBO)<', shown)) == 7
        table = list(csv.DictReader(io.StringIO(browser.get(files[0]).content.decode())))
        with as_unblinded():
            arms = dict(Allocation.objects.values_list("subject__number", "arm"))
        assert {row["subject"]: row["arm"] for row in table} == arms
        assert json.loads(browser.get(files[1]).content)["format"] == "iwrs-opened/1"
        assert Access.objects.filter(copied=True).count() == 2

    def test_the_page_asks_as_often_for_few_subjects_as_for_many(
        self, db, django_assert_max_num_queries
    ):
        study = a_study_at_its_end()
        unblind(study, FIRST, SECOND)
        browser = Client()
        browser.force_login(make.a_user(Role.AUDITOR, study=study))
        with django_assert_max_num_queries(12):
            assert browser.get(reverse("opened", args=[study.code])).status_code == 200


class TestDatabase:
    @pytest.mark.requirement("REQ-042")
    def test_the_blinded_login_neither_writes_nor_changes_it(self, committed_db, logins: Logins):
        study = a_study_at_its_end()
        unblind(study, FIRST, SECOND)
        blinded = logins.blinded()
        for statement in (
            "INSERT INTO randomization_openedstudy DEFAULT VALUES",
            "UPDATE randomization_openedallocation SET proof = '{}'",
            "DELETE FROM randomization_openedallocation",
            "SELECT * FROM unblinded.unblinding",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                blinded.execute(statement)
        for statement in (
            "UPDATE randomization_openedallocation SET proof = '{}'",
            "DELETE FROM randomization_openedstudy",
            "UPDATE unblinded.unblinding SET second_by = '', second_at = NULL",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                logins.unblinded().execute(statement)

    def test_no_study_is_opened_while_it_recruits(self, committed_db, logins: Logins):
        study = make.a_study(length=9)
        with pytest.raises(psycopg.errors.CheckViolation):
            logins.unblinded().execute(
                "INSERT INTO randomization_openedstudy (study_id, cut_on, events, first_by,"
                " second_by, opened_at) VALUES (%s, now(), 1, 'A', 'B', now())",
                [study.pk],
            )
