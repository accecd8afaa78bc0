"""An auditor reads of accounts, roles, sign-ins, exports and looks: per person and per act."""

import re
from collections.abc import Callable
from html import unescape
from io import StringIO
from types import SimpleNamespace

import pytest
from django.core.management import call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from enrolment.accounts import end_access, reset_second_factors
from enrolment.people import Person, end_study_role, give_study_role
from iwrs.accounts.events import Caller, record
from iwrs.accounts.models import Role, SignInEvent, User
from iwrs.actors import Actor
from iwrs.models import EdcClient
from trial.audit.review import by_risk

pytestmark = [pytest.mark.django_db, pytest.mark.requirement("REQ-029")]
PASSWORD = "correct horse battery staple"
Browse = Callable[[User], Client]


@pytest.fixture
def read(site: SimpleNamespace, browser: Browse) -> Callable[..., list[str]]:
    auditor = browser(site.auditor)

    def sentences(**asked: str) -> list[str]:
        answer = auditor.get(reverse("audit", args=[site.study.code]), asked)
        assert answer.status_code == 200
        return re.findall(r'<p class="told">(.*?)</p>', unescape(answer.content.decode()))

    return sentences


@pytest.fixture
def manager(site: SimpleNamespace) -> Actor:
    return Actor.person(site.study_manager, Role.STUDY_MANAGER)


def test_accounts_and_study_wide_roles(
    site: SimpleNamespace, manager: Actor, read: Callable[..., list[str]]
) -> None:
    lin = Person("lin@example.org", "Lin Chen", PASSWORD)
    held = give_study_role(site.study, lin, Role.MONITOR, by=manager)
    end_study_role(held, by=manager, why="Project is over")
    end_access(held.user, site.study, managed={site.study.code}, by=manager, why="Left")
    who = f"{site.study_manager.name} (Study manager)"
    given = read(by=site.study_manager.email, act="give study role")
    assert any(each.startswith(f"{who} recorded account ‘Lin Chen’") for each in given)
    assert any("role in the study ‘Monitor’" in each or "Monitor" in each for each in given)
    [ended] = read(act="end study role", what="accounts.studyrole")
    assert ended.endswith("reason: Project is over")
    [closed] = read(act="end access", what="accounts.user")
    assert "‘is active’" in closed
    assert closed.endswith("reason: Left")
    assert read(by="nobody@example.org", act="end access") == []


def test_sign_ins_refusals_and_sign_outs(
    site: SimpleNamespace, read: Callable[..., list[str]]
) -> None:
    door = Client()
    person = site.investigator
    for password in ("wrong", PASSWORD):
        typed = {"email": person.email, "password": password}
        door.post(reverse("sign-in"), typed, REMOTE_ADDR="192.0.2.7")
    door.post(reverse("sign-out"), REMOTE_ADDR="192.0.2.7")
    Client().post(
        reverse("sign-in"), {"email": "x@example.org", "password": "x"}, REMOTE_ADDR="192.0.2.9"
    )
    mine = read(by=person.email, what="accounts.signinevent")
    assert mine == [
        f"{person.name} was at the door (Signed out, from 192.0.2.7).",
        f"{person.name} was at the door (Signed in, password, from 192.0.2.7).",
        f"{person.name} was at the door (Refused, password, from 192.0.2.7).",
    ]
    assert read(by=person.email, act="signed in") == [mine[1]]
    assert (
        "Somebody without an account was at the door (Refused, password, from 192.0.2.9)."
        in read(act="refused")
    )


def test_what_one_person_does_to_the_account_of_another_names_both(
    site: SimpleNamespace, manager: Actor, read: Callable[..., list[str]]
) -> None:
    reset_second_factors(
        site.monitor, site.study, managed={site.study.code}, by=manager, why="Phone stolen"
    )
    [told] = read(by=site.study_manager.email, act="factor removed")
    assert told == (
        f"{site.study_manager.name} changed the account of {site.monitor.name} "
        "(Second factor removed, all); reason: Phone stolen"
    )


def test_systems_that_may_use_the_api(
    site: SimpleNamespace, read: Callable[..., list[str]]
) -> None:
    printed = StringIO()
    named = ("--study", site.study.code, "--name", "Rave", "--scopes", "subjects:read")
    call_command("edc_client", "create", *named, stdout=printed, stderr=StringIO())
    client = EdcClient.objects.get()
    call_command("edc_client", "scopes", "--id", client.client_id, "--scopes", stdout=StringIO())
    changed, made = read(what="iwrs.edcclient")
    assert "recorded EDC client Rave" in made
    assert "‘allowed scopes’ of EDC client Rave from subjects:read to nothing" in changed
    assert changed.startswith("Command line (")
    assert read(act="change scopes", by="Command line") == [changed]
    secret = re.search(r"client_secret=(\S+)", printed.getvalue())
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(to_jsonb(t)::text, ' ') FROM iwrs_edcclientevent t")
        [kept] = cursor.fetchone()
    assert secret
    assert secret[1] not in kept
    assert client.client_secret not in kept


def test_exports_and_looks_at_sensitive_pages(
    site: SimpleNamespace, browser: Browse, read: Callable[..., list[str]]
) -> None:
    manager, monitor = browser(site.study_manager), browser(site.monitor)
    for name in ("access", "access-csv", "code-breaks", "audit", "audit-csv"):
        assert manager.get(reverse(name, args=[site.study.code])).status_code == 200, name
    for name in ("delegation-log", "delegation-csv"):
        assert monitor.get(reverse(name, args=[site.here.pk])).status_code == 200, name
    seen = read(by=site.study_manager.email, what="audit.access")
    who = f"{site.study_manager.name} (Study manager)"
    assert seen == [
        f"{who} took a copy of the audit trail, everything.",
        f"{who} looked at the audit trail, everything.",
        f"{who} looked at the list of code breaks.",
        f"{who} took a copy of the list of who has access.",
        f"{who} looked at the list of who has access.",
    ]
    seen = read(by=site.monitor.email, act="look at the record")
    assert seen == [
        f"{site.monitor.name} (Monitor) {deed} the delegation log, centre {site.here.number}."
        for deed in ("took a copy of", "looked at")
    ]


def test_locks_and_lost_factors_are_reviewed_before_the_rest_of_accounts(
    site: SimpleNamespace, manager: Actor
) -> None:
    record(SignInEvent.What.LOCKED, site.monitor, by=Caller("192.0.2.7"), method="password")
    record(SignInEvent.What.SIGNED_IN, site.monitor, by=Caller(), method="password")
    reset_second_factors(
        site.monitor, site.study, managed={site.study.code}, by=manager, why="Phone stolen"
    )
    found = {each.risk.key: each for each in by_risk(site.study)}
    assert [each.act for each in found["door"].lines] == ["factor removed", "locked"]
    assert list(found).index("door") < list(found).index("roles")


def test_who_looks_after_accounts_of_another_study_is_not_in_this_trail(
    site: SimpleNamespace, read: Callable[..., list[str]]
) -> None:
    from tests.factories import a_study, a_user

    other = a_user(Role.STUDY_MANAGER, study=a_study(with_list=False))
    record(SignInEvent.What.SIGNED_IN, other, by=Caller(), method="password")
    assert read(by=other.email) == []
