"""The people of a whole study on the portal: roles, second factors and accounts come to an end."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.sessions.models import Session
from django.core import mail
from django.test import Client
from django.urls import reverse

from enrolment.models import CentreRole
from iwrs import outbox
from iwrs.accounts.models import Role, SignInEvent, StudyRole, User
from iwrs.clock import real_today
from tests.factories import a_centre, a_study, a_user

WHY = {"why": "Left the hospital"}
What = SignInEvent.What
Browse = Callable[[User], Client]


@pytest.fixture
def manager(site: SimpleNamespace, signed_in: Browse) -> Client:
    return signed_in(site.study_manager)


@pytest.fixture
def other_study(db: None) -> SimpleNamespace:
    study = a_study(with_list=False)
    return SimpleNamespace(study=study, centre=a_centre(study, cover=0))


def at(site: SimpleNamespace, name: str, user: User) -> str:
    return reverse(name, args=[site.study.code, user.pk])


def a_factor(user: User) -> Authenticator:
    return Authenticator.objects.create(user=user, type="totp", data={"secret": "x"})


def letters() -> list[mail.EmailMessage]:
    mail.outbox.clear()
    outbox.deliver_due()
    return list(mail.outbox)


def worked_until_yesterday(user: User) -> None:
    CentreRole.objects.filter(user=user).update(until=real_today() - timedelta(days=2))


@pytest.mark.requirement("REQ-015")
def test_an_account_ends_at_once_with_its_sessions_and_the_person_is_told(
    site: SimpleNamespace, manager: Client, signed_in: Browse
) -> None:
    browsers = [signed_in(site.pharmacist), signed_in(site.pharmacist)]
    person = at(site, "study-person", site.pharmacist)
    for name, args in (("people", [site.here.pk]), ("access", [site.study.code])):
        assert f'href="{person}"' in manager.get(reverse(name, args=args)).content.decode()
    end = at(site, "end-access", site.pharmacist)
    assert f'href="{end}"' in manager.get(person).content.decode()
    assert manager.post(end, {"why": ""}).status_code == 422
    assert browsers[0].get(reverse("home")).status_code == 200
    page = manager.post(end, WHY, follow=True).content.decode()
    assert f"The account of {site.pharmacist.name} is ended, with its sessions." in page
    assert all(each.get(reverse("home")).status_code == 302 for each in browsers)
    row = SignInEvent.objects.get(what=What.ACCOUNT_ENDED)
    assert (row.user, row.done_by, row.why) == (
        site.pharmacist,
        str(site.study_manager),
        WHY["why"],
    )
    [letter] = letters()
    assert letter.to == [site.pharmacist.email]
    event = User.pgh_event_model.objects.filter(pgh_obj_id=site.pharmacist.pk).last()
    assert (event.is_active, event.pgh_context["why"]) == (False, WHY["why"])


@pytest.mark.requirement("REQ-015", "REQ-018")
def test_who_works_in_a_study_of_others_keeps_the_account_and_loses_the_roles_here(
    site: SimpleNamespace, manager: Client, signed_in: Browse, other_study: SimpleNamespace
) -> None:
    both = site.pharmacist
    days = {"since": real_today(), "until": None}
    CentreRole.objects.create(user=both, centre=other_study.centre, role=Role.PHARMACIST, **days)
    end = at(site, "end-access", both)
    page = manager.get(end).content.decode()
    assert "also works in a study that you do not look after" in page
    assert other_study.study.code not in page
    manager.post(end, WHY)
    both.refresh_from_db()
    assert both.is_active
    browser = signed_in(both)
    assert other_study.centre.name in browser.get(reverse("centres")).content.decode()
    assert site.here.name not in browser.get(reverse("centres")).content.decode()
    again = manager.post(end, WHY)
    assert again.status_code == 409
    assert "This person has no role in this study any more." in again.content.decode()


def test_who_looks_after_both_studies_ends_the_account(
    site: SimpleNamespace, manager: Client, other_study: SimpleNamespace
) -> None:
    for user, role in ((site.pharmacist, Role.MONITOR), (site.study_manager, Role.ADMINISTRATOR)):
        StudyRole.objects.create(
            user=user, study_code=other_study.study.code, role=role, since=real_today()
        )
    manager.post(at(site, "end-access", site.pharmacist), WHY)
    site.pharmacist.refresh_from_db()
    assert not site.pharmacist.is_active


@pytest.mark.requirement("REQ-015")
def test_second_factors_are_reset_with_a_reason_and_the_person_is_told(
    site: SimpleNamespace, manager: Client, signed_in: Browse
) -> None:
    a_factor(site.investigator)
    browser = signed_in(site.investigator)
    reset = at(site, "reset-factors", site.investigator)
    assert manager.post(reset, {"why": " "}).status_code == 422
    assert Authenticator.objects.filter(user=site.investigator).exists()
    manager.post(reset, {"why": "Called back, phone stolen"})
    assert not Authenticator.objects.filter(user=site.investigator).exists()
    assert browser.get(reverse("home")).status_code == 302
    row = SignInEvent.objects.get(what=What.FACTOR_REMOVED)
    assert (row.method, row.done_by, row.why) == (
        "all",
        str(site.study_manager),
        "Called back, phone stolen",
    )
    [letter] = letters()
    assert letter.to == [site.investigator.email]
    assert str(site.study_manager) in letter.body
    assert "stolen" not in letter.body


@pytest.mark.requirement("REQ-015", "REQ-018")
def test_a_role_here_does_not_open_the_second_factors_of_who_works_elsewhere(
    site: SimpleNamespace, manager: Client, other_study: SimpleNamespace
) -> None:
    """Any manager can give a role by e-mail address: that must not strip an account."""
    theirs = a_user(Role.ADMINISTRATOR, study=other_study.study)
    a_factor(theirs)
    add = reverse("add-study-person", args=[site.study.code])
    manager.post(add, {"email": theirs.email, "name": theirs.name, "role": "auditor"})
    reset = at(site, "reset-factors", theirs)
    page = manager.get(at(site, "study-person", theirs)).content.decode()
    assert f'href="{reset}"' not in page
    assert "Who runs the system can reset the second factors." in page
    answer = manager.post(reset, WHY)
    assert answer.status_code == 409
    assert "manage.py account reset-factors" in answer.content.decode()
    assert other_study.study.code not in answer.content.decode()
    assert Authenticator.objects.filter(user=theirs).exists()
    assert not SignInEvent.objects.filter(what=What.FACTOR_REMOVED).exists()


@pytest.mark.requirement("REQ-018")
@pytest.mark.parametrize("name", ["end-access", "reset-factors"])
def test_nobody_does_it_to_the_own_account(
    site: SimpleNamespace, manager: Client, name: str
) -> None:
    a_factor(site.study_manager)
    answer = manager.post(at(site, name, site.study_manager), WHY)
    assert answer.status_code == 409
    assert "This is your own account." in answer.content.decode()
    assert WHY["why"] in answer.content.decode()
    page = manager.get(at(site, "study-person", site.study_manager)).content.decode()
    assert at(site, name, site.study_manager) not in page
    site.study_manager.refresh_from_db()
    assert site.study_manager.is_active
    assert Authenticator.objects.filter(user=site.study_manager).exists()


@pytest.mark.requirement("REQ-019")
def test_whose_role_ended_yesterday_is_not_this_studys_to_reset(
    site: SimpleNamespace, manager: Client
) -> None:
    a_factor(site.pharmacist)
    worked_until_yesterday(site.pharmacist)
    answer = manager.post(at(site, "reset-factors", site.pharmacist), WHY)
    assert answer.status_code == 409
    assert "no role in this study any more" in answer.content.decode()
    assert Authenticator.objects.filter(user=site.pharmacist).exists()
    page = manager.get(at(site, "study-person", site.pharmacist)).content.decode()
    assert reverse("end-centre-role", args=[site.pharmacist.centre_roles.get().pk]) not in page
    # Nobody else looks after this account: it can be closed.
    manager.post(at(site, "end-access", site.pharmacist), WHY)
    site.pharmacist.refresh_from_db()
    assert not site.pharmacist.is_active


@pytest.mark.parametrize("name", ["end-access", "reset-factors"])
def test_an_account_that_is_ended_already_is_said(
    site: SimpleNamespace, manager: Client, name: str
) -> None:
    User.objects.filter(pk=site.monitor.pk).update(is_active=False)
    answer = manager.post(at(site, name, site.monitor), WHY)
    assert answer.status_code == 409
    assert "is ended already" in answer.content.decode()
    assert not SignInEvent.objects.filter(user=site.monitor, what=What.ACCOUNT_ENDED).exists()


@pytest.mark.requirement("REQ-018")
def test_an_auditor_reads_the_page_of_a_person_and_is_offered_nothing(
    site: SimpleNamespace, signed_in: Browse
) -> None:
    page = signed_in(site.auditor).get(at(site, "study-person", site.monitor)).content.decode()
    assert site.monitor.email in page
    assert "Second factor" in page
    for name in ("end-access", "reset-factors"):
        assert at(site, name, site.monitor) not in page
    assert "End the role" not in page
    access = signed_in(site.auditor).get(reverse("access", args=[site.study.code]))
    assert at(site, "study-person", site.monitor) in access.content.decode()


@pytest.mark.requirement("REQ-018")
def test_a_monitor_of_the_whole_study_does_not_learn_who_has_no_second_factor(
    site: SimpleNamespace, signed_in: Browse
) -> None:
    browser = signed_in(a_user(Role.MONITOR, study=site.study))
    assert browser.get(at(site, "study-person", site.auditor)).status_code == 403
    access = browser.get(reverse("access", args=[site.study.code])).content.decode()
    assert site.auditor.email in access
    assert at(site, "study-person", site.auditor) not in access


@pytest.mark.requirement("REQ-013")
def test_a_person_of_another_study_is_not_found(
    site: SimpleNamespace, manager: Client, signed_in: Browse, other_study: SimpleNamespace
) -> None:
    theirs = a_user(Role.MONITOR, centre=other_study.centre)
    role = a_user(Role.AUDITOR, study=other_study.study).study_roles.get()
    stranger = signed_in(a_user(Role.STUDY_MANAGER, study=other_study.study))
    for name in ("study-person", "end-access", "reset-factors"):
        assert manager.get(at(site, name, theirs)).status_code == 404
        assert manager.post(at(site, name, theirs), WHY).status_code in {404, 405}
        assert stranger.get(at(site, name, site.monitor)).status_code == 404
    end = reverse("end-study-role", args=[site.study.code, role.pk])
    assert manager.post(end, WHY).status_code == 404


@pytest.mark.requirement("REQ-022")
def test_a_session_that_ran_out_ends_nobody(site: SimpleNamespace, manager: Client) -> None:
    Session.objects.update(expire_date=datetime.now(UTC) - timedelta(seconds=1))
    answer = manager.post(at(site, "end-access", site.monitor), WHY)
    assert answer.status_code == 302
    assert answer.url.startswith(reverse("sign-in"))
    site.monitor.refresh_from_db()
    assert site.monitor.is_active


@pytest.mark.requirement("REQ-019")
def test_a_role_in_the_whole_study_ends_with_a_reason(
    site: SimpleNamespace, manager: Client, signed_in: Browse
) -> None:
    held = site.auditor.study_roles.get()
    end = reverse("end-study-role", args=[site.study.code, held.pk])
    assert end in manager.get(at(site, "study-person", site.auditor)).content.decode()
    assert manager.post(end, {"why": ""}).status_code == 422
    answer = manager.post(end, WHY | {"last_day": "2000-01-01"})
    assert answer.status_code == 422
    assert "This day is over." in answer.content.decode()
    auditor = signed_in(site.auditor)
    audit = reverse("audit", args=[site.study.code])
    assert auditor.get(audit).status_code == 200
    manager.post(end, WHY)
    assert auditor.get(audit).status_code == 404
    event = StudyRole.pgh_event_model.objects.filter(pgh_obj_id=held.pk).last()
    assert (event.pgh_context["act"], event.pgh_context["why"]) == ("end study role", WHY["why"])
    own = reverse("end-study-role", args=[site.study.code, site.study_manager.study_roles.get().pk])
    assert manager.post(own, WHY).status_code == 409
    assert manager.get(audit).status_code == 200


PERSON = {"email": "Omar.Haddad@sponsor.example", "name": "Omar Haddad", "role": "auditor"}


@pytest.mark.requirement("REQ-014")
def test_a_person_is_added_to_the_whole_study_and_invited(
    site: SimpleNamespace, manager: Client
) -> None:
    add = reverse("add-study-person", args=[site.study.code])
    access = manager.get(reverse("access", args=[site.study.code])).content.decode()
    assert f'href="{add}"' in access
    page = manager.post(add, PERSON, follow=True).content.decode()
    assert "Omar Haddad is now Auditor in this study." in page
    held = StudyRole.objects.get(user__email="omar.haddad@sponsor.example")
    assert (held.role, held.study_code, held.since) == (
        Role.AUDITOR,
        site.study.code,
        real_today(),
    )
    [letter] = letters()
    assert letter.to == ["omar.haddad@sponsor.example"]
    assert f"Auditor, study {site.study.code}" in letter.body


@pytest.mark.parametrize(
    ("wrong", "status", "said"),
    [
        ({"role": "investigator"}, 422, "Choose one of the answers shown."),
        ({"role": "unblinded_statistician"}, 422, "Choose one of the answers shown."),
        ({"until": "2000-01-01"}, 422, "The last day is over"),
        ({"email": "nobody"}, 422, "Give an e-mail address"),
        ({"role": ""}, 422, "Choose one of the answers."),
    ],
)
def test_a_wrong_person_is_not_added_to_the_study(
    site: SimpleNamespace, manager: Client, wrong: dict[str, str], status: int, said: str
) -> None:
    answer = manager.post(reverse("add-study-person", args=[site.study.code]), PERSON | wrong)
    assert answer.status_code == status
    assert said in answer.content.decode()
    assert 'value="Omar Haddad"' in answer.content.decode()
    assert not User.objects.filter(name="Omar Haddad").exists()


@pytest.mark.requirement("REQ-018")
def test_nobody_gives_a_role_to_the_own_account_nor_joins_duties(
    site: SimpleNamespace, manager: Client
) -> None:
    add = reverse("add-study-person", args=[site.study.code])
    own = manager.post(add, PERSON | {"email": site.study_manager.email, "role": "administrator"})
    assert own.status_code == 409
    assert "This is your own account." in own.content.decode()
    joined = manager.post(add, PERSON | {"email": site.investigator.email, "role": "administrator"})
    assert joined.status_code == 409
    assert "One person cannot also be" in joined.content.decode()
    assert not StudyRole.objects.filter(user=site.investigator).exists()
