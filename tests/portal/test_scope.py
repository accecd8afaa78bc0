"""Scope and permission: a stranger's object does not exist, and a role does its own acts only."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from assessments.services import record_read
from dispensing.doses import reduce_dose
from dsmb.models import DataCut
from enrolment.access import centres_for, require, studies_for, subjects_for
from enrolment.models import CentreRole
from enrolment.services import request_deviation
from iwrs import clock
from iwrs.accounts.models import UNBLINDED_ROLES, Role, StudyRole
from iwrs.actors import Actor
from iwrs.clock import real_today
from iwrs.permissions import MAY, Act, one_person_may_hold
from tests.factories import (
    TESTER,
    a_centre,
    a_randomized_subject,
    a_study,
    a_subject,
    a_user,
    passing_answers,
)
from trial.services import randomize

OPEN_TO_ALL = {
    "health",
    "sign-in",
    "account_login",
    "sign-out",
    "set-password",
    "choose-password",
    "forgotten-password",
    "mfa_authenticate",
    "mfa_login_webauthn",
    "openid_connect_login",
    "openid_connect_callback",
}
TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="[^"]+"')  # random
EDC = Actor("EDC client Rave", kind="client")
SITE_PEOPLE = (Role.SITE_COORDINATOR, Role.INVESTIGATOR, Role.PHARMACIST, Role.MONITOR)


def portal_patterns(resolver=None):
    """Every named address of the portal, but the API's."""
    for each in (resolver or get_resolver()).url_patterns:
        if isinstance(each, URLResolver):
            if str(each.pattern) != "api/":
                yield from portal_patterns(each)
        elif isinstance(each, URLPattern):
            yield each


def objects_of(centre):
    """One object of each kind at a centre, by the name of the address it appears in."""
    definition = centre.study.definition
    answers = passing_answers(definition) | {"her2_negative": "unknown"}
    waiting = a_subject(centre, eligibility=answers)
    deviation = request_deviation(waiting, "her2_negative", by=TESTER, reason="No result")
    subject = a_randomized_subject(centre)
    visit = subject.visits.first()
    dispensation = subject.dispensations.first()
    role = a_user(Role.PHARMACIST, centre=centre).centre_roles.get()
    today = clock.today(centre.time_zone)
    read = record_read(
        subject, "central", by=TESTER, assessed_on=today, response="SD", read_on=today
    )
    in_study = a_user(Role.AUDITOR, study=centre.study).study_roles.get()
    reported = randomize(a_subject(centre), by=EDC).subject
    reduce_dose(reported, "5mg", by=EDC, on=today, reason="Rash")
    cut, _ = DataCut.objects.get_or_create(
        study=centre.study,
        cut_on=clock.today() - timedelta(days=1),
        defaults={"reason": "Look", "made_by": "A", "made_at": clock.now()},
    )
    return {
        **dict.fromkeys(("open-report", "open-report-csv", "open-report-pdf"), cut.pk),
        "correct-central-read": read.pk,
        "centre": centre.pk,
        "activate-centre": centre.pk,
        "suspend-centre": centre.pk,
        "close-centre": centre.pk,
        "screen": centre.pk,
        "drill": centre.pk,
        "download-pack": centre.pk,
        "record-opening": centre.pk,
        "emergency-procedure": centre.pk,
        "people": centre.pk,
        "add-person": centre.pk,
        "delegation-log": centre.pk,
        "delegation-csv": centre.pk,
        "person-link": role.pk,
        "end-centre-role": role.pk,
        "study-person": role.user_id,
        "end-access": role.user_id,
        "reset-factors": role.user_id,
        "end-study-role": in_study.pk,
        "approve-deviation": deviation.pk,
        "confirm-randomization": reported.pk,
        "confirm-reduction": reported.pk,
        "assign-kit": dispensation.pk,
        "hand-over": dispensation.pk,
        "record-visit": visit.pk,
        "miss-visit": visit.pk,
        "subject": subject.pk,
    }


MORE = {
    "event": {"kind": "death"},
    "stop-drug": {"drug": "exemestane"},
    "reduce-dose": {"drug": "study_drug"},
    "confirm-reduction": {"level": "5mg"},
    "correct": {"fact": "screening"},
}


@pytest.mark.requirement("REQ-013")
@pytest.mark.django_db
def test_another_centres_object_is_not_found_at_any_address(site, signed_in):
    at_there = objects_of(site.there)
    tried = 0
    for role in SITE_PEOPLE:
        browser = signed_in(getattr(site, role))
        for pattern in portal_patterns():
            names = set(pattern.pattern.converters)
            if (
                "pk" not in names
                or "code" in names
                or pattern.name in {"code-break", "download-extract", "release-extract"}
            ):
                continue
            pk = at_there.get(pattern.name, at_there["subject"])
            address = reverse(pattern.name, kwargs={"pk": pk, **MORE.get(pattern.name, {})})
            read, sent = browser.get(address), browser.post(address, {})
            assert read.status_code == 404, f"{role} {address}"
            # 405: a page that only shows takes no POST, whatever it would show.
            assert sent.status_code in {404, 405}, f"{role} {address}"
            assert site.there.name not in read.content.decode() + sent.content.decode()
            tried += 1
    assert tried > 70


@pytest.mark.requirement("REQ-013")
@pytest.mark.django_db
def test_a_page_of_the_whole_study_is_not_found_by_people_of_a_site(site, signed_in):
    tried = set()
    for role in SITE_PEOPLE:
        browser = signed_in(getattr(site, role))
        for pattern in portal_patterns():
            if set(pattern.pattern.converters) != {"code"}:
                continue
            address = reverse(pattern.name, kwargs={"code": site.study.code})
            assert browser.get(address).status_code == 404, f"{role} {address}"
            assert browser.post(address, {}).status_code in {404, 405}, f"{role} {address}"
            tried.add(pattern.name)
    assert tried >= {"accrual", "change-accrual", "add-centre", "analysis", "cut-data"}
    assert "open-reports" in tried


@pytest.mark.requirement("REQ-011")
@pytest.mark.django_db
def test_people_of_a_site_do_not_manage_their_own_site(site, signed_in):
    role = site.pharmacist.centre_roles.get()
    for name, pk in [
        ("activate-centre", site.here.pk),
        ("suspend-centre", site.here.pk),
        ("people", site.here.pk),
        ("add-person", site.here.pk),
        ("person-link", role.pk),
        ("end-centre-role", role.pk),
    ]:
        address = reverse(name, args=[pk])
        for each in SITE_PEOPLE:
            browser = signed_in(getattr(site, each))
            assert browser.get(address).status_code == 403, f"{each} {address}"
            assert browser.post(address, {"why": "No"}).status_code in {403, 405}
    role.refresh_from_db()
    assert role.until is None


@pytest.mark.requirement("REQ-013")
@pytest.mark.django_db
def test_lists_hold_no_other_centres_rows(site, signed_in):
    there = a_centre(site.study, number="0173")  # no year, no key and no other centre's number
    objects_of(there)
    browser = signed_in(site.site_coordinator)
    for name in ("home", "subjects", "centres"):
        page = TOKEN.sub("", browser.get(reverse(name)).content.decode())
        assert there.number not in page
        assert there.name not in page
    mine = browser.get(reverse("subjects"), {"centre": there.pk})
    assert b"0 subjects." in mine.content


@pytest.mark.requirement("REQ-010")
@pytest.mark.django_db
def test_every_page_but_sign_in_and_health_asks_to_sign_in(site, client):
    asked = 0
    for pattern in portal_patterns():
        if pattern.name in OPEN_TO_ALL:
            continue
        kwargs = {"pk": 1, "code": site.study.code, **MORE.get(pattern.name, {})}
        wanted = {k: v for k, v in kwargs.items() if k in pattern.pattern.converters}
        address = reverse(pattern.name, kwargs=wanted)
        answer = client.get(address)
        assert answer.status_code == 302, address
        assert answer.url.startswith(reverse("sign-in")), address
        asked += 1
    assert asked > 25


@pytest.mark.requirement("REQ-011")
@pytest.mark.django_db
def test_a_role_without_the_act_is_refused_with_a_reason(site, signed_in):
    subject = a_subject(site.here)
    answer = signed_in(site.monitor).post(reverse("randomize", args=[subject.pk]))
    assert answer.status_code == 403
    assert b"Your role does not include this: randomize." in answer.content
    subject.refresh_from_db()
    assert subject.status == "eligible"


@pytest.mark.requirement("REQ-019")
@pytest.mark.django_db
def test_roles_count_between_their_days_only(site):
    user = a_user(Role.MONITOR)
    today = real_today(site.here.time_zone)
    role = CentreRole.objects.create(
        user=user, centre=site.here, role=Role.MONITOR, since=today + timedelta(days=2)
    )
    assert not centres_for(user)
    for since, until, seen in [
        (today - timedelta(days=9), None, True),
        (today - timedelta(days=9), today, True),
        (today - timedelta(days=9), today - timedelta(days=2), False),
    ]:
        CentreRole.objects.filter(pk=role.pk).update(since=since, until=until)
        again = type(user).objects.get(pk=user.pk)
        assert centres_for(again).exists() is seen
    StudyRole.objects.create(
        user=user,
        study_code=site.study.code,
        role=Role.ADMINISTRATOR,
        since=today - timedelta(days=9),
        until=today - timedelta(days=2),
    )
    assert not studies_for(type(user).objects.get(pk=user.pk))


@pytest.mark.requirement("REQ-011")
@pytest.mark.django_db
def test_require_tells_a_stranger_from_a_person_without_the_act(site):
    elsewhere = a_centre(a_study(with_list=False), cover=0)
    with pytest.raises(Http404):
        require(site.investigator, Act.RANDOMIZE, site.there)
    with pytest.raises(Http404):
        require(site.study_manager, Act.SEE_CENTRES, elsewhere)
    with pytest.raises(Http404):
        require(site.investigator, Act.SEE_CENTRES, site.study)
    with pytest.raises(PermissionDenied):
        require(site.pharmacist, Act.RANDOMIZE, site.here)
    actor = require(site.investigator, Act.RANDOMIZE, site.here)
    assert (actor.kind, actor.key, actor.role) == (
        "person",
        str(site.investigator.pk),
        Role.INVESTIGATOR,
    )
    assert not subjects_for(AnonymousUser())


@pytest.mark.requirement("REQ-018")
@pytest.mark.django_db
def test_centre_roles_do_not_count_on_the_unblinded_side(site, settings):
    settings.SIDE = "unblinded"
    user = type(site.investigator).objects.get(pk=site.investigator.pk)
    assert not centres_for(user)


@pytest.mark.requirement("REQ-024")
def test_every_role_is_in_the_table_and_no_role_holds_acts_of_both_sides():
    assert set(MAY) == set(Role)
    unblinded = {
        *(Act.MANAGE_LIST, Act.FORCE_ALLOCATION, Act.ACCEPT_PAPER, Act.UNBLIND_STUDY),
        *(Act.MANAGE_STOCK, Act.SEE_UNBLINDED_AUDIT, Act.SEE_UNBLINDED_PEOPLE),
        *(Act.REVIEW_UNBLINDED_AUDIT, Act.REVIEW_UNBLINDED_ACCESS),
    }
    for role, acts in MAY.items():
        assert acts <= unblinded if role in UNBLINDED_ROLES else not acts & unblinded
    assert all(any(act in acts for acts in MAY.values()) for act in Act)


@pytest.mark.requirement("REQ-018")
def test_no_role_joins_duties_that_are_kept_apart_and_pairs_of_roles_are_told_apart():
    assert all(one_person_may_hold([role]) for role in Role)
    for one, other, together in [
        (Role.ADMINISTRATOR, Role.SAFETY_PHYSICIAN, False),
        (Role.STUDY_MANAGER, Role.INVESTIGATOR, False),
        (Role.STUDY_MANAGER, Role.PHARMACIST, False),
        (Role.SITE_COORDINATOR, Role.SAFETY_PHYSICIAN, False),
        (Role.STUDY_MANAGER, Role.MONITOR, True),
        (Role.INVESTIGATOR, Role.SITE_COORDINATOR, True),
        (Role.STUDY_MANAGER, Role.ADMINISTRATOR, True),
    ]:
        assert one_person_may_hold([one, other]) is together, f"{one} {other}"


@pytest.mark.requirement("REQ-018")
@pytest.mark.parametrize("act", [Act.CUT_DATA, Act.REQUEST_EXTRACT])
def test_who_prepares_the_analysis_cannot_break_a_code(act):
    assert all(Act.BREAK_CODE not in acts for acts in MAY.values() if act in acts)
