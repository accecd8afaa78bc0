"""Whatever is signed: when its row is changed afterwards, the page of the signature says so.

Randomizations, dose reductions and centres, which acts of the portal can change, have tests in
`test_signing` and `test_confirmed_records`; the unblinded site has
`unblinded_site/test_changed_records`. The rows here are changed by who owns the database. What the
application's logins themselves can change of what was signed is the size and hash of a sealed file,
by the unblinded login, and the answers in a late randomization, by a correction. Nothing can change
a deviation, mark, verified stratum, correction, code break or the request of an extract but the
owner. A code break drill has no page that shows its signature.
"""

from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace

import pyrage
import pytest
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from assessments.models import Correction
from dsmb.models import DataCut, Extract
from dsmb.unblinded.services import register_recipient_key
from enrolment.models import Centre
from iwrs import clock
from iwrs.accounts.models import User
from iwrs.actors import SYSTEM
from iwrs.signatures.models import SignedRecord
from randomization.models import (
    CodeBreakRequest,
    LateEntry,
    RandomizedInError,
    VerifiedStratum,
)
from tests import factories as make
from tests.roles import as_unblinded
from tests.signatures.changing import change_as_owner
from tests.signing import sign_page

DIFFERS = "Signed version differs"
Case = tuple[str, Model, dict[str, object]]  # the page, the row, and what is changed in it


class Site(SimpleNamespace):
    """A study, its people, and how they sign."""

    def sign(self, role: str, address: str, **typed: str) -> None:
        person = getattr(self, role)
        assert sign_page(self.signed_in(person), person, address, typed).status_code == 302


def a_deviation(site: Site) -> Case:
    answers = make.passing_answers(site.study.definition) | {"her2_negative": "unknown"}
    subject = make.a_subject(site.here, eligibility=answers)
    typed = {"question": "her2_negative", "reason": "Tissue was used up"}
    site.signed_in(site.site_coordinator).post(reverse("ask-deviation", args=[subject.pk]), typed)
    deviation = subject.deviations.get()
    site.sign("study_manager", reverse("approve-deviation", args=[deviation.pk]))
    return reverse("subject", args=[subject.pk]), deviation, {"reason": "Nobody asked"}


def a_mark(site: Site) -> Case:
    subject = make.a_randomized_subject(site.here)
    address = reverse("mark-in-error", args=[subject.pk])
    site.sign("investigator", address, reason="Wrong patient")
    page = reverse("subject", args=[subject.pk])
    return page, RandomizedInError.objects.get(), {"reason": "Right patient"}


def a_stratum(site: Site) -> Case:
    used, right = ({"visceral": each, "sensitive": "yes"} for each in ("yes", "no"))
    subject = make.a_randomized_subject(site.here, strata=used)
    typed = {f"strata.{key}": level for key, level in right.items()}
    address = reverse("verify-stratum", args=[subject.pk])
    site.sign("investigator", address, **typed, reason="CT read again")
    page = reverse("subject", args=[subject.pk])
    return page, VerifiedStratum.objects.get(), {"reason": "CT not read"}


def a_late_entry(site: Site) -> Case:
    # No hour comes twice there, so a time by the clock of the centre is one moment.
    here = clock.ZoneInfo("Asia/Tokyo")
    changes = {"activated_at": make.at(2010, 3, 1), "time_zone": here.key}
    Centre.objects.filter(pk=site.here.pk).update(**changes)
    subject = make.a_subject(Centre.objects.get(pk=site.here.pk))
    at = clock.now().astimezone(here) - timedelta(minutes=90)
    typed = {"occurred_at": at.strftime("%Y-%m-%dT%H:%M"), "late_reason": "Power cut"}
    site.sign("investigator", reverse("randomize-late", args=[subject.pk]), **typed)
    page = reverse("subject", args=[subject.pk])
    return page, LateEntry.objects.get(), {"reason": "No power cut"}


def a_correction(site: Site) -> Case:
    subject = make.a_randomized_subject(site.here)
    today = clock.today("Europe/Paris").isoformat()
    reduce = reverse("reduce-dose", args=[subject.pk, "study_drug"])
    site.sign("investigator", reduce, on=today, reason="Rash")
    [reduction] = subject.dose_reductions.all()
    address = reverse("correct", args=["reduction", reduction.pk])
    site.sign(
        "investigator", address, reduced_on=today, reason="Stomatitis", why="Read the wrong line"
    )
    # The reduction was signed as it was: what is looked for here is of the correction alone.
    change_as_owner(reduction, reason="Rash")
    page = reverse("subject", args=[subject.pk])
    return page, Correction.objects.get(), {"reason": "Read the right line"}


def an_extract(site: Site) -> Case:
    cut = a_cut(site)
    key = str(pyrage.x25519.Identity.generate().to_public())
    with as_unblinded():
        register_recipient_key(site.study, "dsmb", key, by=SYSTEM)
    address = reverse("request-extract", args=[site.study.code])
    site.sign("administrator", address, cut=str(cut.pk), recipient="dsmb", reason="Planned look")
    page = reverse("analysis", args=[site.study.code])
    return page, Extract.objects.get(), {"reason": "Unplanned look"}


def a_release(site: Site) -> Case:
    extract = Extract.objects.create(
        study=site.study, cut=a_cut(site), recipient="dsmb", reason="Look", requested_by="A",
        requested_at=clock.now(),
    )  # fmt: skip
    with as_unblinded():
        Extract.objects.filter(pk=extract.pk).update(
            status="ready", size=6, sha256="ab" * 32, sealed=b"closed", finished_at=clock.now()
        )
    site.sign("study_manager", reverse("release-extract", args=[extract.pk]))
    return reverse("analysis", args=[site.study.code]), extract, {"sha256": "cd" * 32}


def a_cut(site: Site) -> DataCut:
    return DataCut.objects.create(
        study=site.study, cut_on=clock.today(), reason="Look", made_by="A", made_at=clock.now()
    )


CASES = {
    "deviation": a_deviation,
    "randomized in error": a_mark,
    "verified stratum": a_stratum,
    "late randomization": a_late_entry,
    "correction": a_correction,
    "extract": an_extract,
    "release of an extract": a_release,
}


@pytest.mark.requirement("REQ-038")
@pytest.mark.parametrize("kind", CASES)
def test_a_later_change_of_a_signed_record_shows(
    site: SimpleNamespace, signed_in: Callable[[User], Client], kind: str
) -> None:
    page, row, changes = CASES[kind](Site(**vars(site), signed_in=signed_in))
    assert SignedRecord.objects.latest("pk").record_kind == kind
    reader = signed_in(site.auditor)
    assert "Signed by" in (shown := reader.get(page).content.decode())
    assert DIFFERS not in shown
    change_as_owner(row, **changes)
    assert reader.get(page).content.decode().count(DIFFERS) == 1


@pytest.mark.requirement("REQ-038")
def test_a_later_change_of_a_code_break_shows_to_those_who_may_know_of_it(
    committed_site: SimpleNamespace, signed_in: Callable[[User], Client]
) -> None:
    site = Site(**vars(committed_site), signed_in=signed_in)
    subject = make.a_randomized_subject(site.here)
    typed = {"reason": "emergency", "explanation": "Reaction", "read_back": subject.number}
    site.sign("investigator", reverse("ask-code-break", args=[subject.pk]), **typed)
    page = reverse("subject", args=[subject.pk])
    reader = signed_in(site.study_manager)
    assert DIFFERS not in reader.get(page).content.decode()
    change_as_owner(CodeBreakRequest.objects.get(), explanation="No reaction")
    assert reader.get(page).content.decode().count(DIFFERS) == 1
    assert DIFFERS not in signed_in(site.monitor).get(page).content.decode()
