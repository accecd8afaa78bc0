"""From a request to a sealed file and back, with the real roles and real commits."""

import hashlib
import json
import logging
from datetime import UTC, date, datetime, timedelta

import psycopg
import pyrage
import pytest
from django.db import connection

from dsmb import analysis, services
from dsmb.models import DataCut, Extract
from dsmb.unblinded import services as unblinded
from dsmb.unblinded.package import REST_BYTES, SIMULATED, most_bytes, sealed_package
from dsmb.unblinded.procedures import procedures
from dsmb.unblinded.records import analysis_arms, read_records, snapshot
from iwrs import clock
from iwrs.actors import SYSTEM, Actor
from iwrs.acts import act
from iwrs.models import Study
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Signature
from tests import factories as make
from tests.dsmb.rows import as_owner, many_subjects
from tests.forged import load_forged, load_relabelled, one_letter, turned_round
from tests.roles import as_unblinded

CUT = date(2011, 2, 11)
LATE = make.at(2011, 6, 1)
pytestmark = pytest.mark.usefixtures("committed_db")


class Site:
    """A study with randomized subjects, a recipient's keys and a data cut."""

    def __init__(self, subjects=24):
        with clock.at(make.at(2010, 1, 1)):
            self.study = make.a_study()
            self.centre = make.a_centre(self.study, cover=0)
        self.identity = pyrage.x25519.Identity.generate()
        self.register(self.identity)
        many_subjects(self.centre, subjects, allocate=True)
        self.cut = self.cut_on(CUT)

    def register(self, identity):
        with as_unblinded():
            unblinded.register_recipient_key(
                self.study, "dsmb", str(identity.to_public()), by=SYSTEM
            )

    def cut_on(self, day):
        with clock.at(LATE):
            return services.cut_data(self.study, by=make.TESTER, on=day, reason="Interim")

    def request(self, cut=None):
        return services.request_extract(
            self.study, cut or self.cut, recipient="dsmb", by=make.TESTER, reason="Look 1"
        )

    def open(self, extract):
        sealed = bytes(Extract.objects.get(pk=extract.pk).sealed)
        return analysis.unseal(sealed, str(self.identity))


@pytest.fixture
def site(committed_db):
    return Site()


def work():
    with as_unblinded():
        return unblinded.work_extracts()


def test_the_package_is_the_analysis_of_the_rows(site):
    extract = site.request()
    assert work() == 1
    with as_unblinded(), snapshot():
        records = read_records(site.study, CUT)
        used = procedures(site.study, site.study.definition.arm_codes[-1])
    assert {record.arm.control for record in records} == {True, False}
    expected = analysis.build_package(records, CUT, study_title=site.study.title, procedures=used)
    assert site.open(extract) == expected
    assert analysis.check_manifest(site.open(extract)) == []
    results = json.loads(expected["results.json"])["end_points"]["PFSINV"]
    local = services.count_events(site.study, on=CUT).local
    assert sum(arm["events"] for arm in results["arms"]) == local > 0
    again = results["rerandomization"]
    assert (again["repeats"], again["seed"]) == (5_000, 1)
    assert again["p_two_sided"] == pytest.approx((1 + again["as_extreme"]) / 5_001)
    summary = site.open(extract)["summary.txt"].decode()
    assert "5,000 times with seed 1" in summary
    assert max(len(line) for line in summary.splitlines()) <= 100


@pytest.mark.requirement("REQ-007")
def test_records_are_what_was_entered(site):
    with as_unblinded(), snapshot():
        records = {record.course.subject: record for record in read_records(site.study, CUT)}
    assert len(records) == 24
    for subject in site.centre.subjects.all():
        course, arm = records[subject.number].course, records[subject.number].arm
        assert arm.code == make.arm_of(subject)
        assert arm.control == (arm.code == "PBO")
        assert course.strata == {key: subject.strata[key] for key in ("visceral", "sensitive")}
        # Half past eleven at night in UTC is the next day at the centre.
        assert course.randomized_on == subject.randomized_at.date() + timedelta(days=1)
        assert (course.centre, course.country) == (site.centre.number, "FR")
        assert course.age == subject.baseline["age"]
        events = dict(subject.events.values_list("kind", "occurred_on"))
        assert course.died_on == events.get("death")
        assert course.new_therapy_on == events.get("new_therapy")
        left = [events[kind] for kind in ("withdrawal", "lost") if kind in events]
        assert course.withdrew_on == min(left, default=None)
        stop = subject.drug_stops.filter(drug="study_drug").first()
        assert course.drug_stopped_on == (stop and stop.stopped_on)
        days = [*subject.contacts.values_list("contact_on", flat=True)]
        days += [*subject.visits.values_list("done_on", flat=True)]
        assert course.last_contact_on == max((day for day in days if day <= CUT), default=None)
        assert len(course.reads) == subject.reads.count()


def test_reading_records_takes_a_fixed_number_of_queries(site, django_assert_num_queries):
    for _ in range(2):
        study = Study.objects.get(pk=site.study.pk)
        with as_unblinded(), django_assert_num_queries(11):
            read_records(study, CUT)
        many_subjects(site.centre, 30, seed=2, allocate=True)


def test_extracts_of_different_content_have_one_size(site):
    everybody = site.request()
    first_weeks = site.request(site.cut_on(date(2010, 1, 25)))
    nobody_yet = site.request(
        DataCut.objects.create(
            study=site.study, cut_on=date(2009, 6, 1), reason="Before", made_by="T", made_at=LATE
        )
    )
    assert work() == 3
    done = [Extract.objects.get(pk=each.pk) for each in (everybody, first_weeks, nobody_yet)]
    assert {each.status for each in done} == {"ready"}
    announced = analysis.ciphertext_size(site.study.definition.release.package_kib * 1024, 1)
    assert {each.size for each in done} == {len(bytes(each.sealed)) for each in done} == {announced}
    assert len({each.sha256 for each in done}) == 3
    lengths = {len(site.open(each)["adsl.csv"]) for each in done}
    assert len(lengths) == 3


@pytest.mark.requirement("REQ-069")
def test_the_requester_sees_status_size_and_hash_of_the_sealed_file_only(site, logins):
    extract = site.request()
    work()
    blinded = logins.blinded()
    row = blinded.execute(
        "SELECT status, size, sha256, sealed FROM dsmb_extract WHERE id = %s", [extract.pk]
    ).fetchone()
    status, size, sha256, sealed = row
    assert (status, size, sha256) == ("ready", len(sealed), hashlib.sha256(sealed).hexdigest())
    assert sealed.startswith(b"age-encryption.org/v1")
    plain = site.open(extract)
    for content in (plain["adsl.csv"][:40], b"USUBJID,SITEID", b"Everolimus"):
        assert content not in sealed
    stranger = str(pyrage.x25519.Identity.generate())
    with pytest.raises(analysis.SealError):
        analysis.unseal(sealed, stranger)
    for table in ("recipient_key", "allocation"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            blinded.execute(f"SELECT * FROM unblinded.{table}")
    for change in ("sealed = 'x'", "sha256 = ''", "recipient = 'x'", "cut_id = 1"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            blinded.execute(f"UPDATE dsmb_extract SET {change}")


def test_a_failure_says_nothing_but_failed(site, caplog):
    broken = many_subjects(site.centre, 1, courses=False)[0]  # randomized, without an allocation
    extract = site.request()
    with caplog.at_level(logging.ERROR):
        assert work() == 1
    extract.refresh_from_db()
    assert (extract.status, extract.sealed, extract.size, extract.sha256) == (
        "failed",
        None,
        None,
        "",
    )
    assert extract.finished_at is not None
    assert "DerivationError" in caplog.text
    assert "records.py" in caplog.text
    for value in (broken.number, "EVE", "PBO", "randomized and subjects allocated"):
        assert value not in caplog.text


def test_one_that_fails_does_not_stop_the_next(site):
    with act("test", by=SYSTEM):
        first = Extract.objects.create(
            study=site.study, cut=site.cut, recipient="nobody", reason="x", requested_at=LATE
        )
    second = site.request()
    assert work() == 2
    done = [Extract.objects.get(pk=each.pk).status for each in (first, second)]
    assert done == ["failed", "ready"]


def test_what_a_killed_worker_left_is_taken_again_after_ten_minutes(site):
    left, fresh = site.request(), site.request()
    now = datetime.now(UTC)
    with as_unblinded():
        for extract, minutes in ((left, 11), (fresh, 9)):
            Extract.objects.filter(pk=extract.pk).update(
                status="building", building_since=now - timedelta(minutes=minutes)
            )
    assert work() == 1
    left.refresh_from_db()
    fresh.refresh_from_db()
    assert (left.status, left.building_since) == ("ready", None)
    assert fresh.status == "building"


def test_a_worker_that_was_overtaken_writes_nothing(site):
    extract = site.request()
    with as_unblinded():
        taken = unblinded._take()
        Extract.objects.filter(pk=extract.pk).update(building_since=datetime.now(UTC))
        unblinded._work(taken)
    extract.refresh_from_db()
    assert (extract.status, extract.sealed) == ("building", None)


def test_two_workers_never_take_the_same_extract(site, logins):
    extract = site.request()
    other = logins.unblinded()
    with other.transaction():
        other.execute("SELECT FROM dsmb_extract WHERE id = %s FOR UPDATE", [extract.pk])
        assert work() == 0
    assert work() == 1


def test_a_snapshot_sees_one_moment_and_cannot_write(site, logins):
    with as_unblinded(), snapshot():
        before = read_records(site.study, CUT)
        writer = logins.blinded()
        writer.execute("UPDATE assessments_tumourread SET response = 'NE'")
        assert read_records(site.study, CUT) == before
    with as_unblinded(), snapshot():
        assert read_records(site.study, CUT) != before
    with as_unblinded(), pytest.raises(Exception, match="read-only"), snapshot():
        Extract.objects.update(status="failed")


def test_whether_a_package_fits_does_not_hang_on_who_is_in_which_arm(site):
    """The label of one arm is longer: with the true arms the limit would count that arm."""
    with as_unblinded(), snapshot():
        records = read_records(site.study, CUT)
    arms = list(analysis_arms(site.study.definition).values())
    assert len(arms[0].label) != len(arms[1].label)
    limits = set()
    for arm in arms:
        same = [analysis.SubjectRecord(record.course, arm) for record in records]
        limits.add(most_bytes(same, arms, CUT))
        files = analysis.build_package(same, CUT, study_title="T" * 300, simulated_note=SIMULATED)
        rest = len(analysis.pack(files)) - len(files["adsl.csv"]) - len(files["adtte.csv"])
        assert rest < REST_BYTES / 2
    assert limits == {most_bytes(records, arms, CUT)}


@pytest.mark.parametrize(
    ("load", "change"),
    [(load_forged, one_letter), (load_relabelled, one_letter), (load_relabelled, turned_round)],
)
def test_a_forged_arm_fails_whoever_is_in_the_cut(site, load, change):
    """A cut can hold one subject alone: "failed" for one arm only would tell the arm. With another
    control and the true codes, every hazard ratio would be that of the other arm.
    """
    codes = site.study.definition.arm_codes
    load(site.study, change)
    for arm in codes:
        with as_owner(), connection.cursor() as cursor:
            cursor.execute("UPDATE unblinded.allocation SET arm = %s", [arm])
        extract = site.request()
        work()
        extract.refresh_from_db()
        assert extract.status == "failed"
        with as_unblinded(), pytest.raises(Problem) as refused:
            read_records(Study.objects.get(pk=site.study.pk), CUT)
        assert refused.value.code == "arms_changed"


def test_a_package_that_cannot_fit_is_refused(site):
    with as_unblinded(), snapshot():
        records = read_records(site.study, CUT)
    arms = analysis_arms(site.study.definition).values()
    many = [
        analysis.SubjectRecord(
            analysis.Course(**{**vars(record.course), "subject": f"{record.course.subject}-{n}"}),
            record.arm,
        )
        for record in records
        for n in range(20)
    ]
    with pytest.raises(analysis.PackageTooLarge):
        sealed_package(site.study, many, arms, CUT, str(site.identity.to_public()))


def test_a_simulated_study_says_so_inside(site):
    with as_owner():
        Study.objects.update(simulated=True)
    extract = site.request()
    work()
    files = site.open(extract)
    assert SIMULATED in files["summary.txt"].decode()
    assert json.loads(files["manifest.json"])["note"] == SIMULATED


def test_a_new_key_is_used_from_then_on(site):
    before = site.request()
    work()
    old, site.identity = site.identity, pyrage.x25519.Identity.generate()
    site.register(site.identity)
    after = site.request()
    work()
    assert "adsl.csv" in site.open(after)
    sealed = bytes(Extract.objects.get(pk=before.pk).sealed)
    assert "adsl.csv" in analysis.unseal(sealed, str(old))


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("", "starts with age1"),
        ("ssh-ed25519 AAAA", "must start with age1"),
        ("age1qqqqqqqq", "damaged"),
        (str(pyrage.x25519.Identity.generate()), "secret key"),
    ],
    ids=["nothing", "another kind", "damaged", "secret"],
)
def test_a_wrong_key_is_refused_without_repeating_it(key, text):
    study = make.a_study(with_list=False)
    with as_unblinded(), pytest.raises(Invalid) as refused:
        unblinded.register_recipient_key(study, "press", key, by=SYSTEM)
    assert set(refused.value.errors) == {"recipient", "public_key"}
    assert text in refused.value.errors["public_key"]
    assert not key or key not in str(refused.value)


@pytest.mark.requirement("REQ-025")
def test_each_step_is_in_the_audit_trail(site):
    extract = site.request()
    work()
    signature = Signature("Manager", clock.now(), "I release")
    services.release_extract(extract, by=Actor("Manager"), signature=signature)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT status, pgh_context ->> 'act', pgh_context ->> 'by' FROM dsmb_extractevent"
            " WHERE pgh_obj_id = %s ORDER BY pgh_id",
            [extract.pk],
        )
        trail = cursor.fetchall()
    assert trail == [
        ("queued", "request extract", make.TESTER.label),
        ("building", "build extract", "System"),
        ("ready", "finish extract", "System"),
        ("released", "release extract", "Manager"),
    ]
