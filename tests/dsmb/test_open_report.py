"""The open report: numbers of all subjects together, and nothing by which to compare arms."""

import csv
import hashlib
import io
import json
from dataclasses import asdict
from datetime import date, timedelta

import pyrage
import pytest
from django.test import Client
from django.urls import reverse

from assessments.models import SubjectEvent, TumourRead, Visit
from assessments.schedule import planned_visits
from dispensing.models import Kit
from dsmb import analysis
from dsmb.analysis.seal import SealError
from dsmb.courses import read_courses
from dsmb.models import DataCut, Extract
from dsmb.open_report import open_report
from dsmb.open_report_copies import HEADING, LATER, as_csv, as_pdf, document
from dsmb.services import request_extract
from dsmb.unblinded.services import register_recipient_key, work_extracts
from enrolment.models import Centre
from iwrs import clock
from iwrs.accounts.models import Role
from iwrs.actors import SYSTEM
from iwrs.audit_trail.models import Access
from iwrs.models import Study
from iwrs.permissions import MAY, Act
from tests import factories as make
from tests.dsmb.cut_trial import BY, CUT, Trial, read
from tests.dsmb.rows import many_subjects
from tests.pdf import pdf_text
from tests.roles import as_unblinded

pytestmark = pytest.mark.requirement("REQ-070")
READERS = (Role.STUDY_MANAGER, Role.ADMINISTRATOR, Role.SAFETY_PHYSICIAN, Role.AUDITOR)


@pytest.fixture
def trial(db):
    return Trial()


def numbers(report):
    return {table.title: [tuple(row) for row in table.rows] for table in report.tables}


def test_the_numbers_are_those_counted_by_hand(trial):
    report = open_report(trial.study, trial.cut)
    paris, berlin = (f"{c.number} {c.name}" for c in (trial.paris, trial.berlin))
    definition = trial.study.definition
    assert numbers(report) == {
        "Subjects": [
            ("Screened", 6),
            ("Screen failures", 1),
            ("Randomized", 4),
            ("Still in screening", 1),
            ("Planned to be randomized", definition.study.planned_subjects),
        ],
        "Randomized by month": [
            ("January 2010", 2, 2),
            ("February 2010", 1, 3),
            ("March 2010", 0, 3),
            ("April 2010", 0, 3),
            ("May 2010", 1, 4),
        ],
        # screened, failed, randomized, visits not recorded, assessment late
        "By country": [("France", 5, 1, 3, 1, 0), ("Germany", 1, 0, 1, 2, 1)],
        "By centre": [(paris, 5, 1, 3, 1, 0), (berlin, 1, 0, 1, 2, 1)],
        "Visceral metastasis present?": [("Yes", 3), ("No", 1)],
        "Previous sensitivity to endocrine therapy?": [("Yes", 4), ("No", 0)],
        "Conduct and quality of the data": [
            ("Approved deviations of randomized subjects", 1),
            ("Subjects marked as randomized in error", 1),
            ("Subjects whose verified stratum differs", 1),
            ("Visits due", 6),
            ("Visits done", 2),
            ("Visits done outside the window", 1),
            ("Visits missed", 1),
            ("Visits not recorded", 3),
            ("Tumour assessments, local reader", 3),
            ("Tumour assessments, central reader", 1),
            ("Subjects late for a tumour assessment", 1),
        ],
        "Events of all subjects together": [
            ("Progression or death, local reader", 1),
            ("Progression or death, central reader", 0),
            ("Deaths", 1),
            ("New anticancer therapy started", 1),
            ("Consent withdrawn", 0),
            ("Lost to follow-up", 0),
            ("Events that the interim analysis counts", 1),
            ("Events planned for the study", definition.interim.planned_events),
        ],
        "Planned looks": [("Look 1", 72), ("Look 2", 120)],
        "Treatment of all subjects together": [
            ("Everolimus 5 mg or placebo", 0, 1),
            ("Exemestane 25 mg", 1, 0),
        ],
    }


def test_the_next_day_has_what_happened_on_it(trial):
    """The subject of half past midnight in Berlin is randomized on the day after the cut."""
    day_after = DataCut(study=trial.study, cut_on=date(2010, 7, 1), made_at=clock.now())
    told = numbers(open_report(trial.study, day_after))
    assert told["Subjects"][2] == ("Randomized", 5)
    assert told["Randomized by month"][-1] == ("July 2010", 1, 5)
    assert told["By country"][1] == ("Germany", 2, 0, 2, 2, 1)


def test_a_report_before_the_first_subject_is_empty_and_fails_nowhere(trial):
    early = DataCut.objects.create(
        study=trial.study, cut_on=date(2009, 6, 1), reason="Look", made_by="A", made_at=clock.now()
    )
    told = numbers(open_report(trial.study, early))
    assert told["Randomized by month"] == told["By centre"] == []
    assert told["Subjects"][0] == ("Screened", 0)
    made = document(trial.study, early, by="A")
    assert as_pdf(made).startswith(b"%PDF")
    assert "Deaths" in as_csv(made)


def test_outcomes_are_told_of_the_whole_study_only(trial):
    report = open_report(trial.study, trial.cut)
    places = [table for table in report.tables if table.key in {"centres", "countries"}]
    assert len(places) == 2
    for table in places:
        assert table.columns[1:] == (
            *("Screened", "Screen failures", "Randomized"),
            *("Visits not recorded", "Assessment late"),
        )


def test_one_query_so_one_state_however_many_subjects_and_centres(trial, django_assert_num_queries):
    for turn in range(2):
        study = Study.objects.get(pk=trial.study.pk)
        assert study.definition
        with django_assert_num_queries(1):
            report = open_report(study, trial.cut)
        with clock.at(make.at(2009, 12, 1)):
            many_subjects(make.a_centre(trial.study, cover=0), 30, seed=turn)
    assert dict(numbers(report)["Subjects"])["Randomized"] > 10


def a_subject_of_whom_nothing_is_known():
    with clock.at(make.at(2010, 1, 4)):
        study = make.a_study(with_list=False)
        return many_subjects(make.a_centre(study, cover=0), 1, courses=False)[0]


def told_on(subject, day):
    cut = DataCut(study=subject.study, cut_on=day, made_at=clock.now())
    return dict(numbers(open_report(subject.study, cut))["Conduct and quality of the data"])


@pytest.mark.django_db
def test_who_keeps_to_the_schedule_is_never_late_for_assessment():
    """The first scan on the first day of its window, the second may come on its last: 56 days."""
    subject = a_subject_of_whom_nothing_is_known()
    first = clock.local_date(subject.randomized_at, "Europe/Paris") + timedelta(days=42 - 7)
    TumourRead.objects.create(
        subject=subject, reader="local", assessed_on=first, response="SD", read_on=first
    )
    for day in (first, first + timedelta(days=42 + 14)):
        assert told_on(subject, day)["Subjects late for a tumour assessment"] == 0
    day = first + timedelta(days=42 + 15)
    assert told_on(subject, day)["Subjects late for a tumour assessment"] == 1


@pytest.mark.django_db
def test_visits_that_nobody_planned_yet_are_due_all_the_same():
    """Four visits are planned ahead; of a subject of whom nothing is recorded more fall due."""
    subject = a_subject_of_whom_nothing_is_known()
    anchor = clock.local_date(subject.randomized_at, "Europe/Paris")
    schedule = subject.study.definition.schedule
    for each in planned_visits(schedule, anchor, 1, schedule.plan_ahead):
        Visit.objects.create(subject=subject, **asdict(each))
    for days, due in ((41, 0), (42, 1), (209, 4), (210, 5), (42 * 8, 8)):
        told = told_on(subject, anchor + timedelta(days=days))
        assert told["Visits due"] == told["Visits not recorded"] == due
    SubjectEvent.objects.create(
        subject=subject, kind="lost", occurred_on=anchor + timedelta(days=100)
    )
    assert told_on(subject, anchor + timedelta(days=400))["Visits due"] == 2


def test_a_study_without_a_reader_or_factor_tells_nothing_of_them(trial, monkeypatch):
    definition = trial.study.definition
    without = {
        "endpoints": tuple(e for e in definition.endpoints if e.reader != "central"),
        "factors": (),
    }
    monkeypatch.setattr(Study, "definition", definition.model_copy(update=without))
    report = open_report(trial.study, trial.cut)
    assert [t.title for t in report.tables if t.key.startswith("factor.")] == []
    events = numbers(report)["Events of all subjects together"]
    assert [name for name, _ in events[:2]] == ["Progression or death, local reader", "Deaths"]
    assert as_pdf(document(trial.study, trial.cut, by="A")).startswith(b"%PDF")


def test_its_events_are_those_of_the_analysis(trial):
    with clock.at(make.at(2009, 12, 1)):
        many_subjects(trial.paris, 60)
    [events] = [t for t in open_report(trial.study, trial.cut).tables if t.key == "events"]
    courses = read_courses(trial.study, CUT).values()
    told = dict(events.rows)
    for reader in ("local", "central"):
        counted = analysis.count_events(courses, CUT, reader)
        assert told[f"Progression or death, {reader} reader"] == counted > 2
    assert told["Deaths"] == analysis.count_deaths(courses, CUT) > 1


def test_copies_of_the_same_numbers_have_one_sha256(trial):
    one, other = (document(trial.study, trial.cut, by=who) for who in ("A", "B"))
    assert one.about != other.about
    assert one.report.sha256 == other.report.sha256
    text = one.report.canonical_json
    assert hashlib.sha256(text.encode()).hexdigest() == one.report.sha256
    assert json.loads(text)["tables"]["factor.visceral"]["rows"] == [["Yes", 3], ["No", 1]]
    with clock.at(make.at(2010, 7, 21)):
        assert as_pdf(one) == as_pdf(one)
        subject = trial.paris.subjects.filter(status="randomized").order_by("pk")[2]
        read(subject, "central", date(2010, 6, 30), "PD")  # recorded after both
    later = document(trial.study, trial.cut, by="A")
    assert later.report.sha256 != one.report.sha256
    assert LATER in as_csv(later)


# -- the page and its copies


def people(study):
    return {role: make.a_user(role, study=study) for role in (*READERS, Role.DEPOT_MANAGER)}


def browser_of(user):
    client = Client()
    client.force_login(user)
    return client


def everything_told(trial, browser):
    """The page, the CSV and the text of the PDF."""
    given = [
        browser.get(reverse(name, args=[trial.study.code, trial.cut.pk]))
        for name in ("open-report", "open-report-csv", "open-report-pdf")
    ]
    assert [each.status_code for each in given] == [200, 200, 200]
    page, table, paper = (each.content for each in given)
    return page.decode(), table.decode(), " ".join(pdf_text(paper).split())


def test_page_and_copies_say_what_they_are_and_name_no_arm(trial):
    reader = people(trial.study)[Role.STUDY_MANAGER]
    told = everything_told(trial, browser_of(reader))
    definition = trial.study.definition
    report = open_report(trial.study, trial.cut)
    kits = list(Kit.objects.filter(study=trial.study))
    hidden = {arm.label for arm in definition.arms} | set(definition.kits.contents.values())
    hidden |= {kit.number for kit in kits} | {kit.grouped for kit in kits}
    hidden |= {subject.number for subject in trial.study.subjects.all()}
    assert len(hidden) > 30
    for text in told:
        said = " ".join(text.split())
        assert [each for each in hidden if each in said] == []
        for code in definition.arm_codes:
            assert code not in said.replace(report.sha256, "")
        for wanted in (HEADING, LATER, "30 June 2010", "Planned look", str(reader)[:10]):
            assert wanted in said, wanted
        assert report.sha256 in said.replace(" ", "")
        assert "Data and Safety Monitoring Board" in said


def test_the_csv_has_every_number_and_nothing_that_runs(trial):
    trial.cut.reason = '=HYPERLINK("http://example.org")'
    made = document(trial.study, trial.cut, by="A")
    rows = list(csv.DictReader(io.StringIO(as_csv(made))))
    told = [tuple(row.values()) for row in rows]
    assert ("About", "Reason of the cut", "", f"'{trial.cut.reason}") in told
    assert ("By country", "Germany", "Assessment late", "1") in told
    written = [row for row in rows if row["part"] != "About"]
    cells = sum(len(row) - 1 for table in made.report.tables for row in table.rows)
    assert len(written) == cells
    assert not any(row["row"] == "Simulated" for row in rows)


def test_strange_names_of_places_stay_text(trial):
    name = "] #emph[x] *b* $y$ \\ <b>病</b> e\u0301"
    Centre.objects.filter(pk=trial.paris.pk).update(name=name, country_name="=1+1")
    page, table, paper = everything_told(trial, browser_of(people(trial.study)[Role.STUDY_MANAGER]))
    assert name.replace("<", "&lt;").replace(">", "&gt;") in page
    told = [row["row"] for row in csv.DictReader(io.StringIO(table))]
    assert f"{trial.paris.number} {name}" in told
    assert "'=1+1" in told
    assert "=1+1" not in told
    shown = name.replace("病", "[U+75C5]").replace("\u0301", "[U+0301]")
    assert shown.replace(" ", "") in paper.replace(" ", "")


def test_a_simulated_study_says_so_in_every_copy(trial):
    Study.objects.filter(pk=trial.study.pk).update(simulated=True)
    study = Study.objects.get(pk=trial.study.pk)
    made = document(study, trial.cut, by="A")
    assert "Simulated data. Not evidence." in as_csv(made)
    assert "Simulated data. Not evidence." in " ".join(pdf_text(as_pdf(made)).split())


def test_the_pdf_is_tagged(trial):
    paper = as_pdf(document(trial.study, trial.cut, by="\x07#emph[A] \\ $x$ 病"))
    assert b"/StructTreeRoot" in paper
    assert b"pdfuaid:part>1<" in paper.replace(b" ", b"")
    assert "#emph[A] \\ $x$ [U+75C5]" in " ".join(pdf_text(paper).split())


def test_who_reads_it_and_finds_the_way_there(trial):
    assert {role for role in Role if Act.SEE_OPEN_REPORT in MAY[role]} == set(READERS)
    address = reverse("open-report", args=[trial.study.code, trial.cut.pk])
    listed = reverse("open-reports", args=[trial.study.code])
    for role, user in people(trial.study).items():
        browser = browser_of(user)
        wanted = 200 if role in READERS else 403
        for each in (address, f"{address}csv/", f"{address}pdf/", listed):
            assert browser.get(each).status_code == wanted, role
        if role in READERS:
            assert listed in browser.get(reverse("home")).content.decode(), role
            assert address in browser.get(listed).content.decode()
        if role == Role.ADMINISTRATOR:
            shown = browser.get(reverse("analysis", args=[trial.study.code])).content.decode()
            assert address in shown
    for role in (Role.INVESTIGATOR, Role.MONITOR):
        assert browser_of(make.a_user(role, centre=trial.paris)).get(address).status_code == 404


def test_a_look_and_each_copy_are_recorded(trial):
    auditor = people(trial.study)[Role.AUDITOR]
    browser = browser_of(auditor)
    browser.get(reverse("open-reports", args=[trial.study.code]))
    assert not Access.objects.exists()
    everything_told(trial, browser)
    looks = Access.objects.order_by("pk").values_list("page", "about", "by", "copied")
    about = ("the open report", "data cut of 30 June 2010", str(auditor))
    assert list(looks) == [(*about, False), (*about, True), (*about, True)]


def test_another_studys_cut_is_not_found(trial):
    with clock.at(make.at(2009, 12, 1)):
        other = make.a_study(with_list=False)
    cut = DataCut.objects.create(
        study=other, cut_on=CUT, reason="Look", made_by="A", made_at=clock.now()
    )
    browser = browser_of(people(trial.study)[Role.STUDY_MANAGER])
    for name in ("open-report", "open-report-csv", "open-report-pdf"):
        for code in (trial.study.code, other.code):
            assert browser.get(reverse(name, args=[code, cut.pk])).status_code == 404
    assert not Access.objects.exists()


@pytest.mark.usefixtures("committed_db")
def test_the_closed_report_is_another_document_with_other_recipients():
    """Who reads the open report holds no key of the closed one, and it is no part of a package."""
    trial = Trial()
    identity = pyrage.x25519.Identity.generate()
    with as_unblinded():
        register_recipient_key(trial.study, "dsmb", str(identity.to_public()), by=SYSTEM)
    extract = request_extract(
        trial.study, trial.cut, recipient="dsmb", by=BY, reason="Closed session"
    )
    with as_unblinded():
        assert work_extracts() == 1
    sealed = bytes(Extract.objects.get(pk=extract.pk).sealed)
    files = analysis.unseal(sealed, str(identity))
    arms = [arm.label for arm in trial.study.definition.arms]
    assert all(label in files["summary.txt"].decode() for label in arms)
    browser = browser_of(people(trial.study)[Role.AUDITOR])
    told = everything_told(trial, browser)
    for text in told:
        assert not any(label in text for label in arms)
    assert browser.post(reverse("download-extract", args=[extract.pk])).status_code == 403
    stranger = str(pyrage.x25519.Identity.generate())
    with pytest.raises(SealError):
        analysis.unseal(sealed, stranger)
    readers = {role for role in Role if Act.SEE_OPEN_REPORT in MAY[role]}
    askers = {role for role in Role if Act.REQUEST_EXTRACT in MAY[role]}
    assert askers < readers  # another act; and who asks for the closed one cannot open it
