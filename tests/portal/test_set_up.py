"""Putting a study to use on the portal: centres, people, accrual, as sent without JavaScript."""

import re
from datetime import timedelta

import pytest
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.test import Client
from django.urls import reverse

from enrolment.models import Centre, CentreRole
from enrolment.places import countries, time_zones
from iwrs import clock
from iwrs.accounts.models import Role, User
from iwrs.clock import real_today
from tests.factories import a_centre, a_study, a_user

NEW_PASSWORD = "lantern orbit cedar mosaic"
CENTRE = {
    "number": "2801",
    "name": "Hôpital Saint-Louis",
    "country_code": "FR",
    "time_zone": "Europe/Paris",
    "ethics_approved_on": "",
}
PERSON = {"email": "Ines.Roy@Hospital.example", "name": "Inès Roy", "role": "investigator"}


@pytest.fixture
def manager(site, signed_in):
    return signed_in(site.study_manager)


def history(model, **which):
    return model.pgh_event_model.objects.filter(**which).order_by("-pgh_id").first()


def test_a_centre_is_added_and_the_page_that_lists_centres_leads_there(site, manager, signed_in):
    address = reverse("add-centre", args=[site.study.code])
    for role in ("study_manager", "administrator"):
        assert address in signed_in(getattr(site, role)).get(reverse("centres")).content.decode()
    assert address not in signed_in(site.monitor).get(reverse("centres")).content.decode()
    page = manager.get(address).content.decode()
    assert '<optgroup label="France">' in page
    answer = manager.post(address, CENTRE)
    centre = Centre.objects.get(number="2801")
    assert answer.url == reverse("centre", args=[centre.pk])
    assert (centre.status, centre.country_name) == ("planned", "France")
    assert (centre.country_code, centre.time_zone) == ("FR", "Europe/Paris")
    context = history(Centre, pgh_obj_id=centre.pk).pgh_context
    assert (context["act"], context["by"]) == ("add centre", str(site.study_manager))


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"number": "28"}, "Give exactly four digits."),
        ({"number": ""}, "Give a number."),
        ({"name": ""}, "Give the name."),
        ({"country_code": "XX"}, "Choose a country of the list."),
        ({"time_zone": "Europe/Atlantis"}, "Choose a time zone of the list"),
        ({"time_zone": "Asia/Tokyo"}, "This is not a time zone of France."),
        ({"ethics_approved_on": "2199-12-31"}, "This day is in the future."),
        ({"ethics_approved_on": "01/02/2010"}, "Give the day as year-month-day"),
    ],
)
def test_a_wrong_centre_is_not_added_and_what_was_typed_stays(site, manager, wrong, text):
    answer = manager.post(reverse("add-centre", args=[site.study.code]), CENTRE | wrong)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert text in page
    assert not Centre.objects.filter(number="2801").exists()
    if "name" not in wrong:
        assert 'value="Hôpital Saint-Louis"' in page
    if "country_code" not in wrong:
        assert '<option value="FR" selected>France</option>' in page


def test_a_number_is_given_to_one_centre_of_a_study(site, manager):
    address = reverse("add-centre", args=[site.study.code])
    answer = manager.post(address, CENTRE | {"number": site.here.number})
    assert answer.status_code == 422
    assert f"Centre {site.here.number} exists already." in answer.content.decode()
    assert site.study.centres.count() == 2


@pytest.mark.requirement("REQ-033")
def test_every_offered_time_zone_is_known_to_the_clock():
    assert len(countries()) > 240
    for code, zones in time_zones().items():
        assert code in countries()
        for zone in zones:
            assert clock.today(zone)


def link_on(page):
    return re.search(r'value="http://localhost:8000(/set-password/[^"]+)"', page).group(1)


@pytest.mark.requirement("REQ-014")
def test_a_new_person_gets_a_role_a_link_and_sets_a_password_once(site, manager):
    answer = manager.post(reverse("add-person", args=[site.here.pk]), PERSON, follow=True)
    page = answer.content.decode()
    assert "Inès Roy is now Investigator at this centre." in page
    user = User.objects.get(email="ines.roy@hospital.example")
    held = user.centre_roles.get()
    assert (held.centre, held.role, held.since) == (
        site.here,
        Role.INVESTIGATOR,
        real_today("Europe/Paris"),
    )
    context = history(CentreRole, pgh_obj_id=held.pk).pgh_context
    assert (context["act"], context["by"]) == ("give centre role", str(site.study_manager))
    assert not user.has_usable_password()
    link, browser = link_on(page), Client()
    assert "ines.roy@hospital.example" in browser.get(link, follow=True).content.decode()
    set_to = {"password": NEW_PASSWORD, "again": NEW_PASSWORD}
    assert browser.post(reverse("choose-password"), set_to).url == reverse("sign-in")
    typed = {"email": user.email, "password": NEW_PASSWORD}
    assert browser.post(reverse("sign-in"), typed).status_code == 302
    assert site.here.name in browser.get(reverse("centres")).content.decode()
    again = Client()
    assert again.get(link, follow=True).status_code == 410
    assert again.post(reverse("choose-password"), set_to).status_code == 410


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ({"password": "", "again": ""}, "Type your password."),
        ({"password": NEW_PASSWORD, "again": "another"}, "The two passwords are not the same."),
        ({"password": "short", "again": "short"}, "at least 12 characters"),
        ({"password": "ines.roy@hospital", "again": "ines.roy@hospital"}, "too similar"),
    ],
)
def test_a_weak_or_mistyped_password_is_refused_and_not_sent_back(site, manager, typed, text):
    added = manager.post(reverse("add-person", args=[site.here.pk]), PERSON, follow=True)
    newcomer = Client()
    newcomer.get(link_on(added.content.decode()))
    answer = newcomer.post(reverse("choose-password"), typed)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert text in page
    assert not typed["password"] or f'value="{typed["password"]}"' not in page
    assert not User.objects.get(email="ines.roy@hospital.example").has_usable_password()


@pytest.mark.requirement("REQ-015")
def test_a_link_ends_after_three_days_with_the_account_and_when_it_is_changed(
    site, manager, monkeypatch
):
    added = manager.post(reverse("add-person", args=[site.here.pk]), PERSON, follow=True)
    link = link_on(added.content.decode())
    user = User.objects.get(email="ines.roy@hospital.example")
    assert Client().get(link[:-2] + "x/", follow=True).status_code == 410
    assert Client().get("/set-password/%21/x/", follow=True).status_code == 410
    User.objects.filter(pk=user.pk).update(is_active=False)
    assert Client().get(link, follow=True).status_code == 410
    User.objects.filter(pk=user.pk).update(is_active=True)
    real = PasswordResetTokenGenerator._now
    for days, status in [(2, 200), (4, 410)]:
        later = timedelta(days=days)
        monkeypatch.setattr(PasswordResetTokenGenerator, "_now", lambda s, d=later: real(s) + d)
        assert Client().get(link, follow=True).status_code == status


@pytest.mark.requirement("REQ-039")
def test_nobody_takes_over_an_account_that_has_a_password(site, manager):
    role = site.investigator.centre_roles.get()
    answer = manager.get(reverse("person-link", args=[role.pk]))
    assert answer.url == reverse("people", args=[site.here.pk])
    typed = PERSON | {"email": site.investigator.email, "role": "site_coordinator"}
    again = manager.post(reverse("add-person", args=[site.here.pk]), typed, follow=True)
    page = again.content.decode()
    assert f"{site.investigator.name} is now Site coordinator" in page
    assert "set-password" not in page
    assert site.investigator.centre_roles.count() == 2


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"email": "nobody"}, "Give an e-mail address, for example"),
        ({"name": ""}, "Give the name."),
        ({"role": "administrator"}, "Choose one of the answers shown."),
        ({"role": "supply_manager"}, "Choose one of the answers shown."),
        ({"role": ""}, "Choose one of the answers."),
    ],
)
def test_a_wrong_person_is_not_added_and_what_was_typed_stays(site, manager, wrong, text):
    before = User.objects.count(), CentreRole.objects.count()
    answer = manager.post(reverse("add-person", args=[site.here.pk]), PERSON | wrong)
    page = answer.content.decode()
    assert answer.status_code == 422
    assert text in page
    assert "name" in wrong or 'value="Inès Roy"' in page
    assert (User.objects.count(), CentreRole.objects.count()) == before


def test_who_lets_people_in_does_not_become_one_of_them(site, manager):
    address = reverse("add-person", args=[site.here.pk])
    for person in (site.study_manager, site.administrator):
        answer = manager.post(address, PERSON | {"email": person.email})
        assert answer.status_code == 409
        assert "One person cannot also be Investigator." in answer.content.decode()
        assert not person.centre_roles.exists()


def test_an_ended_account_is_not_opened_from_the_portal(site, manager):
    User.objects.filter(pk=site.investigator.pk).update(is_active=False)
    typed = PERSON | {"email": site.investigator.email}
    answer = manager.post(reverse("add-person", args=[site.here.pk]), typed)
    assert answer.status_code == 422
    assert b"The account of this person was ended." in answer.content
    site.investigator.refresh_from_db()
    assert not site.investigator.is_active


@pytest.mark.requirement("REQ-019")
def test_a_role_ends_at_once_with_a_reason_and_can_begin_again(site, manager, signed_in):
    role = site.pharmacist.centre_roles.get()
    pharmacist = signed_in(site.pharmacist)
    assert site.here.name in pharmacist.get(reverse("centres")).content.decode()
    end = reverse("end-centre-role", args=[role.pk])
    assert end in manager.get(reverse("people", args=[site.here.pk])).content.decode()
    assert manager.post(end, {"why": ""}).status_code == 422
    manager.post(end, {"why": "Left the hospital"})
    assert history(CentreRole, pgh_obj_id=role.pk).pgh_context["why"] == "Left the hospital"
    assert site.here.name not in pharmacist.get(reverse("centres")).content.decode()
    people = manager.get(reverse("people", args=[site.here.pk])).content.decode()
    assert "Earlier roles" in people
    typed = PERSON | {"email": site.pharmacist.email, "role": "pharmacist"}
    manager.post(reverse("add-person", args=[site.here.pk]), typed)
    role.refresh_from_db()
    assert (role.since, role.until) == (real_today("Europe/Paris"), None)


def test_roles_begin_on_the_real_calendar_also_in_a_replayed_study(site, manager):
    site.study.replay_now = clock.now() - timedelta(days=4000)
    site.study.save()
    manager.post(reverse("add-person", args=[site.here.pk]), PERSON)
    assert CentreRole.objects.get(user__name="Inès Roy").since == real_today("Europe/Paris")


def test_accrual_is_opened_paused_and_closed_with_a_reason(db, signed_in):
    study = a_study(status="draft", with_list=False)
    a_centre(study, cover=0)
    manager = signed_in(a_user(Role.STUDY_MANAGER, study=study))
    address = reverse("change-accrual", args=[study.code])
    accrual = reverse("accrual", args=[study.code])
    assert address in manager.get(accrual).content.decode()
    assert manager.post(address, {"status": "open", "why": ""}).status_code == 422
    assert manager.post(address, {"status": "paused", "why": "No"}).status_code == 422
    study.refresh_from_db()
    assert study.status == "draft"
    for status, said in [
        ("open", "Open to accrual"),
        ("paused", "Accrual paused"),
        ("open", "Open to accrual"),
        ("closed", "Closed to accrual"),
    ]:
        page = manager.post(address, {"status": status, "why": "As planned"}, follow=True)
        assert f"State of the study: {said}." in page.content.decode()
        study.refresh_from_db()
        assert study.status == status
    context = history(type(study), pgh_obj_id=study.pk).pgh_context
    assert (context["act"], context["why"]) == ("set study status", "As planned")


def test_only_who_manages_accrual_is_led_to_change_it(site, signed_in):
    address = reverse("change-accrual", args=[site.study.code])
    physician = signed_in(site.safety_physician)
    assert address not in physician.get(reverse("accrual", args=[site.study.code])).content.decode()
    for name in ("change-accrual", "add-centre"):
        asked = reverse(name, args=[site.study.code])
        assert physician.get(asked).status_code == 403
        assert physician.post(asked, {"status": "closed", "why": "No"}).status_code == 403
    site.study.refresh_from_db()
    assert site.study.status == "open"


@pytest.mark.requirement("REQ-013")
def test_a_manager_of_another_study_finds_nothing_of_this_one(site, signed_in):
    other = a_user(Role.STUDY_MANAGER, study=a_study(with_list=False))
    browser = signed_in(other)
    role = site.pharmacist.centre_roles.get()
    for address in [
        reverse("add-centre", args=[site.study.code]),
        reverse("change-accrual", args=[site.study.code]),
        reverse("people", args=[site.here.pk]),
        reverse("add-person", args=[site.here.pk]),
        reverse("person-link", args=[role.pk]),
        reverse("end-centre-role", args=[role.pk]),
    ]:
        assert browser.get(address).status_code == 404
        assert browser.post(address, {}).status_code in {404, 405}
