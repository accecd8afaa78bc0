"""What happened to one account is read in one place: made, renamed, roles, factors, locks, end."""

import csv
import io
import re
from collections.abc import Callable
from datetime import date
from html import unescape
from types import SimpleNamespace

import pytest
from django.test import Client
from django.urls import reverse

from enrolment.accounts import end_access, reset_second_factors
from enrolment.people import Days, Person, end_study_role, give_study_role
from iwrs.accounts.events import Caller, record
from iwrs.accounts.models import Role, SignInEvent, User
from iwrs.actors import Actor
from tests.factories import a_study, a_subject, a_user

pytestmark = [pytest.mark.django_db, pytest.mark.requirement("REQ-029")]
Browse = Callable[[User], Client]


@pytest.fixture
def manager(site: SimpleNamespace) -> Actor:
    return Actor.person(site.study_manager, Role.STUDY_MANAGER)


@pytest.fixture
def lin(site: SimpleNamespace, manager: Actor) -> User:
    """An account to which everything happened, beside one whose address ends like hers."""
    mine = {"managed": {site.study.code}, "by": manager}
    like_her = Person("berlin@example.org", "Berta Lind", "correct horse battery staple")
    give_study_role(site.study, like_her, Role.MONITOR, by=manager)
    her = Person("lin@example.org", "Lin Chen", "correct horse battery staple")
    for last in (date(2099, 3, 1), date(2099, 5, 1)):
        held = give_study_role(site.study, her, Role.MONITOR, by=manager, days=Days(None, last))
    user = held.user
    reset_second_factors(user, site.study, why="Phone stolen", **mine)
    record(SignInEvent.What.LOCKED, user, by=Caller("192.0.2.7"), method="password")
    User.objects.filter(pk=user.pk).update(name="Lin Ohm")
    end_study_role(held, by=manager, why="Project is over")
    end_access(user, site.study, why="Left", **mine)
    return user


def page(client: Client, site: SimpleNamespace, **asked: str) -> str:
    answer = client.get(reverse("audit", args=[site.study.code]), asked)
    assert answer.status_code == 200
    return unescape(answer.content.decode())


def told(text: str) -> list[str]:
    return re.findall(r'<p class="told">(.*?)</p>', text)


def test_the_history_of_one_account_and_nothing_of_others(
    site: SimpleNamespace, browser: Browse, lin: User
) -> None:
    auditor = browser(site.auditor)
    text = page(auditor, site, account="LIN@example.org")
    lines, who = told(text), f"{site.study_manager.name} (Study manager)"
    newest_first = (
        f"{site.study_manager.name} changed the account of Lin Ohm (Account ended); reason: Left",
        f"{who} changed ‘is active’ of account ‘Lin Ohm’ from yes to no; reason: Left",
        f"{who} changed ‘until’ of role in the study Monitor from 1 May 2099 to ",
        f"{who} changed ‘name’ of account ‘Lin Ohm’ from Lin Chen to Lin Ohm",
        "Lin Ohm was at the door (Locked, password, from 192.0.2.7).",
        f"{site.study_manager.name} changed the account of Lin Ohm (Second factor removed, all)",
        f"{who} changed ‘until’ of role in the study Monitor from 1 March 2099 to 1 May 2099.",
        f"{who} recorded role in the study Monitor.",
        f"{who} recorded account ‘Lin Chen’.",
    )
    assert len(lines) == len(newest_first), lines
    for line, begin in zip(lines, newest_first, strict=True):
        assert line.startswith(begin)
    assert "<li>until: 1 March 2099</li>" in text
    assert "Berta" not in text
    # Part of a name, the one before too, and with other parts of the search.
    for part in ("in ohm", "Lin Che"):
        assert told(page(auditor, site, account=part)) == lines
    assert len(told(page(auditor, site, account="lin@example.or"))) > len(lines)
    both = page(auditor, site, account="lin@example.org", act="end study role")
    assert [each.split("; ")[1] for each in told(both)] == ["reason: Project is over"]


def test_who_has_no_role_in_the_study_is_found_no_better_than_nobody(
    site: SimpleNamespace, browser: Browse, lin: User
) -> None:
    elsewhere = a_user(Role.STUDY_MANAGER, study=a_study(with_list=False))
    User.objects.filter(pk=elsewhere.pk).update(email="in@example.org")
    auditor = browser(site.auditor)
    for name in (elsewhere.name, "nobody@example.org", "100%", "\\"):
        text = page(auditor, site, account=name)
        assert told(text) == []
        assert "No line fits." in text
    assert told(page(auditor, site, account="in@example.org")), "part of two addresses here"


def test_roles_at_centres_and_the_copies(
    site: SimpleNamespace, browser: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: dict[str, object] = {}
    monkeypatch.setattr("trial.audit.copies.pdf", lambda _, given: made.update(given) or b"%PDF")
    auditor, asked = browser(site.auditor), {"account": site.investigator.email}
    of_study = [site.study.code]
    sent = auditor.get(reverse("audit-csv", args=of_study), asked)
    rows = list(csv.DictReader(io.StringIO(b"".join(sent.streaming_content).decode())))
    tables = {each["table"] for each in rows}
    assert {"accounts_userevent", "enrolment_centreroleevent"} <= tables
    assert all(each["table"].split("_")[0] in ("accounts", "enrolment") for each in rows)
    assert site.site_coordinator.name not in str(rows)
    assert auditor.get(reverse("audit-pdf", args=of_study), asked).status_code == 200
    assert made["filter"] == f"Account concerned: {site.investigator.email}"
    assert len(made["lines"]) == len({(each["table"], each["row"]) for each in rows})


def test_a_persons_page_leads_to_the_trail_of_the_account(
    site: SimpleNamespace, browser: Browse, lin: User
) -> None:
    User.objects.filter(pk=lin.pk).update(email="lin+x@example.org")
    there = reverse("study-person", args=[site.study.code, lin.pk])
    named, auditor = "Audit trail of this account", browser(site.auditor)
    shown = auditor.get(there).content.decode()
    [way] = re.findall(rf'<a href="([^"]*)">{named}</a>', shown)
    lines = told(unescape(auditor.get(way).content.decode()))
    assert any("recorded role in the study" in each for each in lines)
    assert not any("Berta" in each for each in lines)
    assert named in browser(site.study_manager).get(there).content.decode()
    administrator = a_user(Role.ADMINISTRATOR, study=site.study)
    assert named not in browser(administrator).get(there).content.decode()


def test_the_trail_of_a_subject_has_no_such_search(site: SimpleNamespace, browser: Browse) -> None:
    subject = a_subject(site.here)
    shown = browser(site.monitor).get(reverse("subject-audit", args=[subject.pk]))
    assert shown.status_code == 200
    assert "Account concerned" not in shown.content.decode()
