"""Room 5 on the blinded side: overall counts, notices, data cuts, asking for an extract."""

from datetime import date, timedelta
from types import SimpleNamespace

import pyrage
import pytest
from django.core import mail

from assessments import services as assessments
from dsmb import analysis, services
from dsmb.courses import read_courses
from dsmb.models import DataCut, Extract, InterimNotice
from dsmb.unblinded.services import register_recipient_key
from iwrs import clock, outbox
from iwrs.accounts.models import Role
from iwrs.actors import SYSTEM, Actor
from iwrs.models import OutboxMessage, Study
from iwrs.problems import Invalid, Problem
from iwrs.signatures import Signature
from tests import factories as make
from tests.dsmb.rows import many_subjects
from tests.roles import as_unblinded

pytestmark = pytest.mark.django_db
LATE = make.at(2011, 6, 1)
MANAGER = Actor("Manager <manager@example.org>", kind="person", role=Role.STUDY_MANAGER)


@pytest.fixture
def study():
    return make.a_study(with_list=False)


@pytest.fixture
def centre(study):
    with clock.at(make.at(2010, 1, 1)):
        return make.a_centre(study, cover=0)


def a_key(study, recipient="dsmb"):
    public = str(pyrage.x25519.Identity.generate().to_public())
    with as_unblinded():
        register_recipient_key(study, recipient, public, by=SYSTEM)
    return public


def test_counts_in_sql_are_those_of_the_analysis(study, centre):
    many_subjects(centre, 150)
    cuts = [date(2010, 1, 4), date(2010, 1, 5)]
    cuts += [date(2010, 1, 20) + timedelta(days=37 * step) for step in range(14)]
    seen = set()
    for cut in cuts:
        courses = read_courses(study, cut).values()
        counted = services.count_events(study, on=cut)
        assert counted.local == analysis.count_events(courses, cut, "local")
        assert counted.central == analysis.count_events(courses, cut, "central")
        assert counted.deaths == analysis.count_deaths(courses, cut)
        assert counted.planned == study.definition.interim.planned_events
        assert counted.primary == counted.local
        seen.add(counted.local)
    assert len(seen) > 10


def test_a_count_is_of_one_study(study, centre):
    many_subjects(centre, 30)
    other = make.a_study(with_list=False)
    assert services.count_events(other, on=date(2011, 6, 1)).local == 0


def test_counting_takes_two_queries_however_many_subjects(study, centre, django_assert_num_queries):
    for _ in range(2):
        many_subjects(centre, 20, seed=centre.subjects.count())
        afresh = Study.objects.get(pk=study.pk)
        with django_assert_num_queries(1):  # the counts; the study names its definition
            services.count_events(afresh, on=date(2011, 6, 1))


def test_the_planned_count_is_rounded_up_without_float_error(study):
    def looks(fractions, planned):
        interim = SimpleNamespace(looks=fractions, planned_events=planned)
        return services.planned_looks(SimpleNamespace(definition=SimpleNamespace(interim=interim)))

    assert looks((0.6, 1.0), 528) == (317, 528)
    assert looks((0.07, 0.29, 1.0), 100) == (7, 29, 100)


def die(subject):
    assessments.record_event(subject, "death", by=make.TESTER, on=date(2010, 12, 1))


def test_the_notice_comes_at_the_planned_count_once(study, centre):
    administrator = make.a_user(Role.ADMINISTRATOR, study=study)
    make.a_user(Role.MONITOR, study=study)
    planned = services.planned_looks(study)[0]
    subjects = many_subjects(centre, planned, courses=False)
    with clock.at(LATE):
        for subject in subjects[1:]:
            die(subject)
        assert services.watch_events(study) == []
        die(subjects[0])
        [notice] = services.watch_events(study)
        assert services.watch_events(study) == []
    assert (notice.look, notice.planned_events, notice.events) == (1, planned, planned)
    assert InterimNotice.objects.count() == OutboxMessage.objects.count() == 1
    assert outbox.deliver_due() == 1
    [letter] = mail.outbox
    assert letter.to == [administrator.email]
    assert f"Counted: {planned} events, all subjects together" in letter.body


@pytest.mark.parametrize(
    ("on", "reason", "field", "text"),
    [
        (date(2011, 6, 2), "Interim", "on", "in the future"),
        (date(2009, 12, 31), "Interim", "on", "first subject was randomized"),
        (None, "Interim", "on", "Give the date"),
        (date(2011, 2, 11), "  ", "reason", "Say why"),
    ],
)
def test_a_cut_that_cannot_be_is_refused(study, centre, on, reason, field, text):
    many_subjects(centre, 3)
    with clock.at(LATE), pytest.raises(Invalid) as refused:
        services.cut_data(study, by=make.TESTER, on=on, reason=reason)
    assert list(refused.value.errors) == [field]
    assert text in refused.value.errors[field]
    assert not DataCut.objects.exists()


def test_a_cut_needs_a_randomized_subject(study):
    with clock.at(LATE), pytest.raises(Invalid) as refused:
        services.cut_data(study, by=make.TESTER, on=date(2011, 2, 11), reason="Interim")
    assert refused.value.errors == {"on": "No subject is randomized yet."}


def test_a_replayed_study_is_cut_in_its_own_time(study, centre):
    many_subjects(centre, 3)
    study.replay_now = make.at(2011, 2, 11)
    services.cut_data(study, by=make.TESTER, on=date(2011, 2, 11), reason="Interim")
    with pytest.raises(Invalid, match="in the future"):
        services.cut_data(study, by=make.TESTER, on=date(2011, 2, 12), reason="Interim")


def test_a_date_is_cut_once(study, centre):
    many_subjects(centre, 3)
    with clock.at(LATE):
        cut = services.cut_data(study, by=make.TESTER, on=date(2011, 2, 11), reason=" Interim ")
        with pytest.raises(Problem) as refused:
            services.cut_data(study, by=make.TESTER, on=date(2011, 2, 11), reason="Again")
    assert (cut.reason, cut.made_by, cut.made_at) == ("Interim", make.TESTER.label, LATE)
    assert refused.value.code == "cut_exists"
    assert DataCut.objects.count() == 1


@pytest.fixture
def cut(study, centre):
    many_subjects(centre, 3)
    with clock.at(LATE):
        return services.cut_data(study, by=make.TESTER, on=date(2011, 2, 11), reason="Interim")


def test_an_extract_without_a_key_is_refused(study, cut):
    with pytest.raises(Problem) as refused:
        services.request_extract(study, cut, recipient="dsmb", by=make.TESTER, reason="Look 1")
    assert refused.value.code == "no_recipient_key"
    assert "Data and Safety Monitoring Board" in refused.value.title
    assert not Extract.objects.exists()


def test_what_is_wrong_with_a_request_is_said_field_by_field(study, cut):
    a_key(study)
    other = make.a_study(with_list=False)
    with pytest.raises(Invalid) as refused:
        services.request_extract(other, cut, recipient="press", by=make.TESTER, reason=" ")
    assert set(refused.value.errors) == {"recipient", "cut", "reason"}
    assert not Extract.objects.exists()


def test_a_request_is_a_row_and_wakes_the_worker_after_the_commit(
    study, cut, django_capture_on_commit_callbacks
):
    a_key(study)
    with django_capture_on_commit_callbacks() as callbacks:
        extract = services.request_extract(
            study, cut, recipient="dsmb", by=make.TESTER, reason="Look 1"
        )
    assert [callback.__name__ for callback in callbacks] == ["wake_unblinded"]
    [listed] = services.extracts_of(study)
    assert listed == extract
    assert listed.status == Extract.Status.QUEUED
    assert "sealed" in listed.get_deferred_fields()


def released(extract, by=MANAGER):
    return services.release_extract(
        extract, by=by, signature=Signature(by.label, LATE, "I release")
    )


@pytest.mark.requirement("REQ-041")
def test_only_a_ready_extract_is_released_and_by_another_person(study, cut):
    a_key(study)
    extract = services.request_extract(
        study, cut, recipient="dsmb", by=make.TESTER, reason="Look 1"
    )
    with pytest.raises(Problem) as refused:
        released(extract)
    assert refused.value.code == "extract_not_ready"
    with as_unblinded():
        Extract.objects.update(
            status="ready", sealed=b"closed", size=6, sha256="0" * 64, finished_at=LATE
        )
    with pytest.raises(Problem) as early:
        services.sealed_file(extract)
    assert early.value.code == "extract_not_ready"
    with pytest.raises(Problem) as own:
        released(extract, by=make.TESTER)
    assert own.value.code == "same_person"
    assert released(extract).status == Extract.Status.RELEASED
    with pytest.raises(Problem):
        released(extract)
    for _ in range(2):
        assert services.sealed_file(extract) == b"closed"
