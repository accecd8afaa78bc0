"""`manage.py account`: the first people of each side, and the end of their access."""

import io
from contextlib import nullcontext
from datetime import timedelta
from getpass import getuser

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from iwrs.accounts.models import Role, StudyRole, User
from iwrs.audit_trail.models import Access
from iwrs.clock import real_today
from tests.factories import a_centre, a_study, a_user
from tests.roles import as_unblinded

PASSWORD = "lantern orbit cedar mosaic"
EMAIL = "first@hospital.example"


@pytest.fixture
def study(db):
    return a_study(with_list=False)


@pytest.fixture
def create(study, monkeypatch):
    def run(role, *more, email=EMAIL, password=PASSWORD, code=study.code):
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
        out = io.StringIO()
        named = ("--email", email, "--name", "First Person", "--study", code, "--role", role)
        call_command("account", "create", *named, "--password-stdin", *more, stdout=out)
        return out.getvalue()

    return run


def in_days(days: int) -> str:
    return str(real_today() + timedelta(days=days))


def sign_in(password=PASSWORD):
    browser = Client()
    browser.post(reverse("sign-in"), {"email": EMAIL, "password": password})
    return browser


def test_the_first_manager_signs_in_and_can_set_the_study_up(study, create):
    assert "is Study manager in" in create("study_manager")
    page = sign_in().get(reverse("centres"))
    assert reverse("add-centre", args=[study.code]) in page.content.decode()


def test_a_role_at_a_centre_needs_its_number(study, create):
    centre = a_centre(study, cover=0)
    with pytest.raises(CommandError, match="Give --centre NUMBER"):
        create("investigator")
    with pytest.raises(CommandError, match="There is no centre 9999"):
        create("investigator", "--centre", "9999")
    with pytest.raises(CommandError, match="This role is not held at one centre"):
        create("administrator", "--centre", centre.number)
    assert not User.objects.exists()
    create("investigator", "--centre", centre.number)
    assert User.objects.get().centre_roles.get().centre == centre


def test_an_account_gets_a_further_role_and_keeps_its_password(create):
    create("study_manager")
    said = create("administrator", email=EMAIL.upper(), password="never read, not even looked at")
    assert "its password stays" in said
    assert set(StudyRole.objects.values_list("role", flat=True)) == {
        "study_manager",
        "administrator",
    }
    create("administrator")
    assert StudyRole.objects.count() == 2
    assert sign_in().get(reverse("home")).status_code == 200


@pytest.mark.requirement("REQ-018")
def test_duties_kept_apart_are_not_joined(create):
    create("administrator")
    with pytest.raises(CommandError, match="One person cannot also be Safety physician"):
        create("safety_physician")
    assert StudyRole.objects.count() == 1


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"password": "short"}, "at least 12 characters"),
        ({"password": ""}, "at least 12 characters"),
        ({"password": "q1w2e3r4t5y6"}, "too common"),
        ({"email": "nobody"}, "Give an e-mail address"),
        (
            {"email": f"{'n' * 60}@{('h' * 60 + '.') * 3}example"},
            "together are over 200 characters",
        ),
        ({"code": "unknown"}, "There is no study with the code unknown"),
    ],
)
def test_wrong_input_makes_no_account(create, changes, text):
    with pytest.raises(CommandError, match=text):
        create("study_manager", **changes)
    assert not User.objects.exists()


@pytest.mark.requirement("REQ-018")
def test_each_side_refuses_the_roles_of_the_other(study, create, settings):
    with pytest.raises(CommandError, match=r"role of the unblinded side\. Set IWRS_SIDE=unblinded"):
        create("supply_manager")
    settings.SIDE = "unblinded"
    with as_unblinded():
        with pytest.raises(CommandError, match="is a role of the blinded side"):
            create("study_manager")
        create("unblinded_statistician")
        assert StudyRole.objects.get().role == Role.UNBLINDED_STATISTICIAN
    assert not User.objects.exists()  # on the blinded side
    settings.SIDE = "owner"
    with pytest.raises(CommandError, match="accounts have a side"):
        create("study_manager")


@pytest.mark.requirement("REQ-015")
def test_an_ended_account_loses_its_sessions_and_opens_again_with_a_new_password(study, create):
    create("study_manager")
    other = Client()
    other.force_login(a_user(Role.MONITOR, study=study))
    browser, second = sign_in(), sign_in()
    out = io.StringIO()
    call_command("account", "end", "--email", EMAIL, "--why", "Left", stdout=out)
    assert "2 of its sessions" in out.getvalue()
    for each in (browser, second, sign_in()):
        assert each.get(reverse("home")).status_code == 302
    assert other.get(reverse("home")).status_code == 200
    with pytest.raises(CommandError, match="There is no account x@y"):
        call_command("account", "end", "--email", "x@y.example", "--why", "Left")
    create("study_manager", password="mosaic cedar orbit lantern")
    assert sign_in().get(reverse("home")).status_code == 302
    assert sign_in("mosaic cedar orbit lantern").get(reverse("home")).status_code == 200


@pytest.mark.requirement("REQ-015")
def test_a_link_for_a_forgotten_password(create):
    create("study_manager")
    out = io.StringIO()
    call_command("account", "link", "--email", EMAIL, stdout=out)
    link = out.getvalue().strip().removeprefix("http://localhost:8000")
    typed = {"password": "mosaic cedar orbit lantern", "again": "mosaic cedar orbit lantern"}
    browser = Client()
    browser.get(link)
    assert browser.post(reverse("choose-password"), typed).status_code == 302
    assert sign_in("mosaic cedar orbit lantern").get(reverse("home")).status_code == 200
    call_command("account", "end", "--email", EMAIL, "--why", "Left", stdout=io.StringIO())
    with pytest.raises(CommandError, match="This account was ended"):
        call_command("account", "link", "--email", EMAIL)


def test_a_study_role_ends_at_once_and_the_account_stays(study, create):
    create("study_manager")
    browser = sign_in()
    accrual = reverse("accrual", args=[study.code])
    assert browser.get(accrual).status_code == 200
    named = ("--email", EMAIL, "--study", study.code, "--why", "Left the study")
    with pytest.raises(CommandError, match="does not hold this role"):
        call_command("account", "end-role", *named, "--role", "auditor")
    call_command("account", "end-role", *named, "--role", "study_manager", stdout=io.StringIO())
    assert browser.get(accrual).status_code == 404
    assert User.objects.get().is_active


@pytest.mark.requirement("REQ-019")
@pytest.mark.parametrize(
    ("side", "role"), [("blinded", "study_manager"), ("unblinded", "supply_manager")]
)
def test_a_role_has_a_first_and_a_last_day(study, create, settings, side, role):
    settings.SIDE = side
    first, last, sooner = (in_days(each) for each in (2, 30, 9))
    with as_unblinded() if side == "unblinded" else nullcontext():
        said = create(role, "--since", first, "--until", last)
        assert f"since {first} until {last}." in said
        held = StudyRole.objects.get()
        assert [str(held.since), str(held.until)] == [first, last]
        named = ("--email", EMAIL, "--study", study.code, "--role", role, "--why", "Leaves")
        out = io.StringIO()
        call_command("account", "end-role", *named, "--last-day", sooner, stdout=out)
        held.refresh_from_db()
        assert str(held.until) == sooner
        assert f"until {sooner}." in out.getvalue()
        with pytest.raises(CommandError, match="This day is over"):
            call_command("account", "end-role", *named, "--last-day", in_days(-2))
        held.refresh_from_db()
        assert str(held.until) == sooner


@pytest.mark.requirement("REQ-019")
def test_a_role_at_a_centre_has_days_too(study, create):
    centre = a_centre(study, cover=0)
    first, last = in_days(3), in_days(4)
    create("investigator", "--centre", centre.number, "--since", first, "--until", last)
    held = User.objects.get().centre_roles.get()
    assert [str(held.since), str(held.until)] == [first, last]


@pytest.mark.parametrize(
    ("days", "text"),
    [
        (("--since", "31.5.2030"), r"31\.5\.2030 is not a day\. Write it as 2026-05-31"),
        (("--until", "2030-02-30"), "2030-02-30 is not a day"),
        (("--since", in_days(-2)), "A role begins today or later"),
        (("--until", in_days(-2)), "The last day is over, or before the first day"),
        (("--since", in_days(9), "--until", in_days(8)), "or before the first day"),
    ],
)
def test_days_that_cannot_be_make_no_account(create, days, text):
    with pytest.raises(CommandError, match=text):
        create("study_manager", *days)
    assert not User.objects.exists()


@pytest.mark.requirement("REQ-029")
@pytest.mark.parametrize("side", ["blinded", "unblinded"])
def test_the_list_of_who_has_access_is_a_copy_that_is_recorded(study, settings, side):
    settings.SIDE = side
    with as_unblinded() if side == "unblinded" else nullcontext():
        out = io.StringIO()
        call_command("account", "list", "--study", study.code, stdout=out)
        [copy] = Access.objects.all()
        assert (copy.page, copy.study_code, copy.by, copy.copied) == (
            "the list of who has access",
            study.code,
            f"Command line ({getuser()})",
            True,
        )
        with pytest.raises(CommandError, match="There is no study"):
            call_command("account", "list", "--study", "unknown")
        assert Access.objects.count() == 1
