"""A randomization that was wrong: the mark for good, and the stratum as verified."""

from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.urls import reverse

from dsmb.analysis import Arm, SubjectRecord, derive_adsl
from dsmb.courses import read_courses
from enrolment.models import Subject
from iwrs import clock
from iwrs.problems import Invalid, Problem
from iwrs.signatures.models import SignedRecord
from randomization.marks import mark_in_error, stratum_record, verify_stratum
from randomization.models import RandomizedInError, VerifiedStratum
from tests import factories as make
from tests.portal.conftest import signed_in, site
from tests.signing import sign_page

__all__ = ["signed_in", "site"]
pytestmark = pytest.mark.django_db
BY = make.TESTER
USED = {"visceral": "yes", "sensitive": "yes"}
RIGHT = USED | {"visceral": "no"}


@pytest.fixture
def subject() -> Subject:
    with clock.at(make.at(2010, 3, 1)):
        centre = make.a_centre(make.a_study())
    with clock.at(make.at(2010, 3, 2)):
        return make.a_randomized_subject(centre, strata=USED)


def adsl(subject: Subject, cut: date) -> dict[str, Any]:
    course = read_courses(subject.study, cut)[subject.pk]
    return derive_adsl([SubjectRecord(course, Arm("PBO", "Placebo"))], cut)[0]


@pytest.mark.requirement("REQ-062")
def test_the_mark_stays_and_so_do_the_place_the_kits_and_the_analysis(subject: Subject) -> None:
    with clock.at(make.at(2010, 4, 1)):
        mark_in_error(subject, by=BY, reason="Consent was of another study")
        with pytest.raises(Problem) as again:
            mark_in_error(subject, by=BY, reason="Once more")
    assert again.value.code == "marked_in_error"
    subject.refresh_from_db()
    assert (subject.status, subject.stratum_key) == ("randomized", "visceral=yes|sensitive=yes")
    assert subject.dispensations.filter(status="planned").count() == 4
    before, after = adsl(subject, date(2010, 3, 31)), adsl(subject, date(2010, 4, 1))
    assert (before["RNDERFL"], before["RNDERDT"]) == (None, None)
    assert (after["RNDERFL"], after["RNDERDT"]) == ("Y", date(2010, 4, 1))
    assert after["ITTFL"] == "Y"
    for change in ("UPDATE {t} SET reason = 'none'", "DELETE FROM {t}"):
        with pytest.raises(ProgrammingError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(change.format(t="randomization_randomizedinerror"))
    with pytest.raises(IntegrityError), transaction.atomic():
        RandomizedInError.objects.create(
            randomization=subject.randomization, reason="x", marked_by="x", marked_at=clock.now()
        )


@pytest.mark.requirement("REQ-060", "REQ-061")
def test_the_verified_stratum_stands_beside_the_used_one(subject: Subject) -> None:
    with clock.at(make.at(2010, 4, 1)):
        verify_stratum(subject, RIGHT, by=BY, reason="CT read again")
    with clock.at(make.at(2010, 5, 1)):
        verify_stratum(subject, RIGHT | {"sensitive": "no"}, by=BY, reason="And the letter found")
    subject.refresh_from_db()
    assert subject.strata == USED
    assert subject.randomization.stratum_key == "visceral=yes|sensitive=yes"
    rows = [adsl(subject, date(2010, month, 30)) for month in (3, 4, 5)]
    assert [row["STRATAR"] for row in rows] == ["visceral=yes, sensitive=yes"] * 3
    assert [row["STRATAV"] for row in rows] == [
        "visceral=yes, sensitive=yes",
        "visceral=no, sensitive=yes",
        "visceral=no, sensitive=no",
    ]
    assert (rows[1]["STRAT1R"], rows[1]["STRAT1V"], rows[1]["STRAT2V"]) == ("yes", "no", "yes")
    for change in ("UPDATE {t} SET levels = '{{}}'", "DELETE FROM {t}"):
        with pytest.raises(ProgrammingError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(change.format(t="randomization_verifiedstratum"))


@pytest.mark.parametrize(
    ("levels", "reason", "field"),
    [
        ({"visceral": "no"}, "CT", "strata.sensitive"),
        (RIGHT | {"visceral": "maybe"}, "CT", "strata.visceral"),
        (RIGHT, "  ", "reason"),
        (USED, "CT", ""),
    ],
)
def test_a_verified_stratum_is_whole_new_and_reasoned(
    subject: Subject, levels: dict[str, str], reason: str, field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        verify_stratum(subject, levels, by=BY, reason=reason)
    assert list(refused.value.errors) == ([field] if field else [])
    assert not VerifiedStratum.objects.exists()


def test_only_what_was_randomized_can_be_wrong(subject: Subject) -> None:
    waiting = make.a_subject(subject.centre)
    with pytest.raises(Problem) as early:
        verify_stratum(waiting, RIGHT, by=BY, reason="CT")
    with pytest.raises(Problem) as too:
        mark_in_error(waiting, by=BY, reason="CT")
    assert early.value.code == too.value.code == "not_randomized"
    with pytest.raises(Invalid):
        mark_in_error(subject, by=BY, reason=" ")
    assert not RandomizedInError.objects.exists()


@pytest.mark.requirement("REQ-061", "REQ-062")
def test_an_investigator_signs_both_on_pages_and_all_read_them(
    site: SimpleNamespace, signed_in: Any
) -> None:
    subject = make.a_randomized_subject(site.here, strata=USED)
    browser = signed_in(site.investigator)
    page = reverse("subject", args=[subject.pk])
    stratum = reverse("verify-stratum", args=[subject.pk])
    mark = reverse("mark-in-error", args=[subject.pk])
    assert stratum in (shown := browser.get(page).content.decode())
    assert mark in shown
    typed = {f"strata.{key}": level for key, level in RIGHT.items()}
    bad = sign_page(browser, site.investigator, stratum, typed | {"reason": ""})
    assert bad.status_code == 422
    typed["reason"] = "CT read again"
    assert sign_page(browser, site.investigator, stratum, typed).status_code == 302
    kept = SignedRecord.objects.get()
    assert kept.sha256 == stratum_record(VerifiedStratum.objects.get()).sha256
    answer = sign_page(browser, site.investigator, mark, {"reason": "Wrong patient"})
    assert answer.status_code == 302
    read = signed_in(site.monitor).get(page).content.decode()
    assert "Yes, as randomized. Verified: <strong>No</strong>" in read
    for text in ("Wrong patient", "CT read again", "This subject should not have been randomized"):
        assert text in read
    assert "Signed version differs" not in read
    assert mark not in browser.get(page).content.decode(), "the mark is made once"
    for role in ("site_coordinator", "pharmacist", "study_manager", "monitor"):
        assert signed_in(getattr(site, role)).get(mark).status_code == 403
        assert signed_in(getattr(site, role)).get(stratum).status_code == 403
    waiting = make.a_subject(site.here)
    for name in ("mark-in-error", "verify-stratum"):
        assert browser.get(reverse(name, args=[waiting.pk])).status_code == 404


def test_when_it_was_recorded_is_the_databases_own_time(subject: Subject) -> None:
    claimed = make.at(2010, 3, 3)
    mark = RandomizedInError.objects.create(
        randomization=subject.randomization,
        reason="Consent was of another study",
        marked_by="EVE",
        marked_at=claimed,
        recorded_at=claimed,
    )
    mark.refresh_from_db()
    assert mark.marked_at == claimed
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        [now] = cursor.fetchone()
    assert 0 <= (now - mark.recorded_at).total_seconds() < 60
