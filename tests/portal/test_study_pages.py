"""Pages of the study's staff: accrual, analysis, lists; and that lists cost a fixed number of
queries."""

from datetime import UTC, date, datetime, timedelta

import pyrage
import pytest
from django.urls import reverse

from dsmb.models import DataCut, Extract
from dsmb.records import extract_record
from dsmb.unblinded.services import register_recipient_key
from iwrs import clock
from iwrs.accounts.models import StudyRole
from iwrs.actors import SYSTEM
from iwrs.models import Study
from iwrs.signatures.models import SignedRecord
from tests.factories import (
    a_centre,
    a_cohort,
    a_drill,
    a_randomized_subject,
    a_study,
    a_subject,
)
from tests.queries import queries_of
from tests.roles import as_unblinded
from tests.signing import sign_page
from trial.accrual import Month, chart, months_of
from trial.middleware import moment_of
from trial.worklist import RECENT, work_of


def asked(browser, address):
    return len(queries_of(browser, address))


@pytest.mark.parametrize("role", ["site_coordinator", "study_manager"])
@pytest.mark.parametrize("name", ["home", "subjects", "centres"])
def test_lists_cost_the_same_number_of_queries_however_long(site, signed_in, role, name):
    browser = signed_in(getattr(site, role))
    a_subject(site.here, eligible=False)
    a_randomized_subject(site.here)
    few = asked(browser, reverse(name))
    for _ in range(3):
        a_subject(site.here, eligible=False)
        a_randomized_subject(site.here)
    a_subject(a_centre(site.study, cover=0))
    assert asked(browser, reverse(name)) == few <= 16


def test_the_subject_page_costs_the_same_number_of_queries_however_long(site, signed_in):
    browser = signed_in(site.investigator)
    with clock.at(clock.now() - timedelta(days=100)):
        subject = a_randomized_subject(site.here)
    address = reverse("subject", args=[subject.pk])
    few = asked(browser, address)
    for number in (1, 2):
        visit = subject.visits.get(number=number)
        browser.post(
            reverse("record-visit", args=[visit.pk]),
            {"on": visit.due_on.isoformat(), "local_response": "SD", "ecog": "0"},
        )
    assert subject.visits.count() > 4
    assert asked(browser, address) == few <= 26


def test_home_of_a_site_shows_what_waits_there(site, signed_in):
    with clock.at(clock.now() - timedelta(days=60)):
        late = a_randomized_subject(site.here)
    with clock.at(clock.now() - timedelta(days=40)):
        due = a_randomized_subject(site.here)
    waiting = a_subject(site.here, eligible=False)
    page = signed_in(site.site_coordinator).get(reverse("home")).content.decode()
    overdue, rest = page.split("Visits due now")
    now, rest = rest.split("Subjects in screening")
    assert f"Subject {late.number}, visit 1" in overdue
    assert f"Subject {due.number}, visit 1" in now
    assert f"Subject {late.number}, visit 1" not in now
    screening, recent = rest.split("Last randomizations")
    assert waiting.number in screening
    assert late.number in recent


def test_subjects_are_searched_and_filtered(site, signed_in):
    eligible, screening = a_subject(site.here), a_subject(site.here, eligible=False)
    browser = signed_in(site.site_coordinator)
    address = reverse("subjects")
    found = browser.get(address, {"q": eligible.number[-4:]}).content.decode()
    assert eligible.number in found
    assert screening.number not in found
    found = browser.get(address, {"status": "screening"}).content.decode()
    assert screening.number in found
    assert eligible.number not in found
    assert browser.get(address, {"status": "nonsense", "page": "x"}).status_code == 200
    part = browser.get(address, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert eligible.number in part


def test_long_lists_have_pages(site, signed_in):
    for _ in range(26):
        a_subject(site.here)
    browser = signed_in(site.site_coordinator)
    first = browser.get(reverse("subjects"), {"status": "eligible"}).content.decode()
    assert "Page 1 of 2" in first
    assert "?status=eligible&amp;page=2" in first
    last = browser.get(reverse("subjects"), {"status": "eligible", "page": 2}).content.decode()
    assert "Page 2 of 2" in last


def test_accrual_counts_every_month_and_draws_it(site, signed_in):
    for year, month in [(2010, 1), (2010, 1), (2010, 3)]:
        with clock.at(datetime(year, month, 15, 10, tzinfo=UTC)):
            a_randomized_subject(a_centre(site.study))
    months = months_of(site.study, date(2010, 4, 2))
    assert [(m.randomized, m.total) for m in months] == [(2, 2), (0, 2), (1, 3), (0, 3)]
    answer = signed_in(site.administrator).get(reverse("accrual", args=[site.study.code]))
    page = answer.content.decode()
    assert "3 of 120 planned subjects" in page
    assert '<polyline class="actual"' in page
    assert "<caption>Subjects randomized, by month</caption>" in page


def test_the_line_of_the_chart_stays_inside_its_frame():
    months = [Month(date(2010, m, 1), 100, 100 * m) for m in range(1, 9)]
    drawn = chart(months, 705)
    heights = [float(point.split(",")[1]) for point in drawn.actual.split()]
    assert heights == sorted(heights, reverse=True)
    assert min(heights) >= 0
    assert max(heights) == drawn.bottom
    assert drawn.subjects[-1].label == "800"


def test_a_data_cut_needs_a_day_that_makes_sense_and_is_made_once(site, signed_in):
    administrator = signed_in(site.administrator)
    a_randomized_subject(site.here)
    address = reverse("cut-data", args=[site.study.code])
    future = {"on": (date.today() + timedelta(days=9)).isoformat(), "reason": "Look"}  # noqa: DTZ011
    assert administrator.post(address, future).status_code == 422
    typed = {"on": clock.today().isoformat(), "reason": "Planned look"}
    assert administrator.post(address, typed).status_code == 302
    assert administrator.post(address, typed).status_code == 409
    assert DataCut.objects.get().made_by == str(site.administrator)
    assert signed_in(site.study_manager).get(address).status_code == 403


def test_extracts_show_a_word_a_size_and_a_fingerprint_and_give_the_sealed_file(site, signed_in):
    administrator = signed_in(site.administrator)
    a_randomized_subject(site.here)
    administrator.post(
        reverse("cut-data", args=[site.study.code]),
        {"on": clock.today().isoformat(), "reason": "Planned look"},
    )
    cut = DataCut.objects.get()
    ask = reverse("request-extract", args=[site.study.code])
    assert administrator.get(ask).status_code == 200
    assert administrator.post(ask, {"cut": cut.pk, "recipient": "dsmb"}).status_code == 422
    extract = Extract.objects.create(
        study=site.study,
        cut=cut,
        recipient="dsmb",
        reason="Interim",
        requested_by=str(site.administrator),
        requested_at=clock.now(),
    )
    address = reverse("download-extract", args=[extract.pk])
    assert administrator.post(address).status_code == 409  # not ready yet
    with as_unblinded():
        Extract.objects.filter(pk=extract.pk).update(
            status="ready",
            size=2048,
            sha256="ab" * 32,
            sealed=b"age-encryption.org/v1 sealed",
            finished_at=clock.now(),
        )
    page = administrator.get(reverse("analysis", args=[site.study.code])).content.decode()
    for text in ("Ready", "2,048 bytes", "ab" * 32):
        assert text in page
    assert administrator.post(address).status_code == 409  # nobody released it yet
    for role in ("study_manager", "safety_physician"):
        assert signed_in(getattr(site, role)).post(address).status_code == 403
    release = reverse("release-extract", args=[extract.pk])
    assert administrator.get(release).status_code == 403
    manager = signed_in(site.study_manager)
    assert release in manager.get(reverse("home")).content.decode()
    assert "ab" * 32 in manager.get(release).content.decode()
    assert sign_page(manager, site.study_manager, release).status_code == 302
    assert release not in manager.get(reverse("home")).content.decode()
    page = administrator.get(reverse("analysis", args=[site.study.code])).content.decode()
    assert "I release this sealed file" in page
    assert "Signed version differs" not in page
    assert signed_in(site.investigator).post(address).status_code == 404
    answer = administrator.post(address)
    assert answer.content == b"age-encryption.org/v1 sealed"
    assert "attachment" in answer.headers["Content-Disposition"]
    extract.refresh_from_db()
    assert extract.status == "released"


def test_an_extract_is_requested_with_a_reason_and_a_signature(site, signed_in):
    administrator = signed_in(site.administrator)
    cut = DataCut.objects.create(
        study=site.study, cut_on=clock.today(), reason="Look", made_by="A", made_at=clock.now()
    )
    public = str(pyrage.x25519.Identity.generate().to_public())
    with as_unblinded():
        register_recipient_key(site.study, "dsmb", public, by=SYSTEM)
    address = reverse("request-extract", args=[site.study.code])
    typed = {"cut": cut.pk, "recipient": "dsmb", "reason": "Interim analysis"}
    for wrong in ({"password": "guess"}, {"signer": site.study_manager.email}, {"password": ""}):
        refused = sign_page(administrator, site.administrator, address, typed, **wrong)
        assert refused.status_code == 422
    stale = sign_page(administrator, site.administrator, address, typed, shown="0" * 64)
    assert stale.status_code == 409
    assert not Extract.objects.exists()
    assert not SignedRecord.objects.exists()
    unsaid = typed | {"reason": ""}
    assert sign_page(administrator, site.administrator, address, unsaid).status_code == 422
    assert not Extract.objects.exists()
    assert sign_page(administrator, site.administrator, address, typed).status_code == 302
    made = Extract.objects.get()
    assert (made.cut, made.recipient, made.reason) == (cut, "dsmb", "Interim analysis")
    assert (made.status, made.requested_by) == ("queued", str(site.administrator))
    kept = SignedRecord.objects.get()
    assert (kept.user, kept.role) == (site.administrator, "administrator")
    assert kept.meaning == "I ask for this sealed extract of the study's data"
    assert (kept.record_kind, kept.record_pk) == ("extract", made.pk)
    assert kept.sha256 == extract_record(made).sha256


def test_a_replayed_simulated_study_says_so_and_lives_at_its_own_time(site, signed_in):
    site.study.simulated = True
    site.study.replay_now = datetime(2011, 2, 11, 12, tzinfo=UTC)
    site.study.save()
    browser = signed_in(site.investigator)
    for name in ("home", "subjects", "centres"):
        page = browser.get(reverse(name)).content.decode()
        assert "Simulated data, shaped to the published margins of BOLERO-2." in page
        assert "11 February 2011, 12:00 UTC" in page


def test_unknown_addresses_get_a_page_that_says_what_to_do(site, signed_in):
    answer = signed_in(site.investigator).get("/nowhere/")
    assert answer.status_code == 404
    assert b"This page was not found." in answer.content


def test_who_also_works_in_a_real_study_keeps_the_real_clock(site, signed_in):
    site.study.replay_now = datetime(2011, 2, 11, 12, tzinfo=UTC)
    site.study.save()
    real = a_study(with_list=False)
    StudyRole.objects.create(
        user=site.study_manager, study_code=real.code, role="study_manager", since=date(2000, 1, 1)
    )
    centre = a_centre(real, active=False, cover=0)
    a_drill(centre)
    manager = signed_in(site.study_manager)
    page = manager.get(reverse("home")).content.decode()
    assert "11 February 2011" not in page
    assert "Time in the replayed study" not in page
    yesterday = (clock.today("Europe/Paris") - timedelta(days=1)).isoformat()
    address = reverse("activate-centre", args=[centre.pk])
    sign_page(manager, site.study_manager, address, {"ethics_approved_on": yesterday})
    centre.refresh_from_db()
    assert centre.status == "active"
    assert clock.now() - centre.activated_at < timedelta(minutes=1)
    alone = signed_in(site.administrator).get(reverse("home")).content.decode()
    assert "Time in the replayed study: 11 February 2011, 12:00 UTC" in alone


def test_two_replays_at_different_moments_leave_the_real_clock():
    early, late = datetime(2010, 1, 1, tzinfo=UTC), datetime(2011, 1, 1, tzinfo=UTC)
    for moments, expected in [
        ([], None),
        ([None], None),
        ([early], early),
        ([early, early], early),
        ([early, late], None),
        ([early, None], None),
    ]:
        assert moment_of([Study(replay_now=each) for each in moments]) == expected


def test_last_randomizations_of_one_centre_do_not_hide_those_of_another(site):
    quiet = a_randomized_subject(a_centre(site.study))
    for _ in range(RECENT + 1):
        a_cohort(site.here, size=1)
        a_randomized_subject(site.here)
    at_busy, at_quiet = work_of([site.here, quiet.centre])
    assert len(at_busy.recent) == RECENT
    assert [each.subject for each in at_quiet.recent] == [quiet]
    moments = [each.occurred_at for each in at_busy.recent]
    assert moments == sorted(moments, reverse=True)
