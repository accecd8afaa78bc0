"""The auditor reads what is blinded and changes nothing; the depot manager sees centres."""

from types import SimpleNamespace

import pytest
from django.test import Client
from django.urls import reverse

from iwrs.accounts.models import Role
from iwrs.permissions import MAY, READING, Act, one_person_may_hold
from tests.authority.test_permission_walk import address_of as address_in_walk
from tests.authority.test_permission_walk import ask_code_break, portal  # noqa: F401
from tests.hostile.walk import address_of, pages, signed_in, state_of_the_database, undone
from tests.portal.conftest import a_site
from tests.portal.test_scope import MORE, objects_of
from trial.doors import ACCOUNTS, DOORS, OPEN, PORTAL, Answer, Door, addresses, held_in_study

# Where those who look after people at a centre begin: no auditor gives or ends roles. What it tells
# is in the delegation log and on the pages of the persons, which the auditor reads.
DESKS = {"people"}
# While a study is blinded, no file of its treatments can be made.
NOT_WHILE_BLINDED = {"opened-csv", "opened-proofs"}
REFUSED = {Answer.REFUSED: 403, Answer.NOWHERE: 404}


@pytest.fixture
def site(db: None) -> SimpleNamespace:
    made = a_site()
    made.objects = objects_of(made.here)
    return made


@pytest.mark.requirement("REQ-018")
def test_an_auditor_reads_every_page_that_shows_data(
    portal: SimpleNamespace,  # noqa: F811
) -> None:
    """Every page that the table lets an auditor read, and every page that takes no act at all."""
    ask_code_break(portal)
    browsers = {each.label: each.browser for each in portal.people}
    read, refused, only_shown = set(), set(), set()
    for page in addresses("blinded"):
        if page.methods or page.key not in {"home", *PORTAL} or PORTAL.get(page.key) == OPEN:
            continue
        door = DOORS["blinded"][page.key]
        address = address_in_walk(page.key, page.parameters, portal.values)
        status = browsers[Role.AUDITOR.label].get(address).status_code
        promised = door.answer(Role.AUDITOR, in_study=True)
        if promised == Answer.IN:
            assert status == (409 if page.key in NOT_WHILE_BLINDED else 200), page.key
            read.add(page.key)
            continue
        assert status == REFUSED[promised], page.key
        assert door.act not in READING, page.key
        refused.add(page.key)
        if not door.own and takes_no_act(browsers[let_in(door).label], address):
            only_shown.add(page.key)
    assert only_shown == DESKS
    assert {"home", "subjects", "subject", "centre", "analysis", "audit", "packs"} <= read
    assert {"randomize", "code-break", "download-pack", "record-opening"} <= refused


def let_in(door: Door) -> Role:
    """A role that the table lets in."""
    roles = (r for r in Role if door.answer(r, in_study=held_in_study(r, "blinded")) == Answer.IN)
    return next(roles)


def takes_no_act(browser: Client, address: str) -> bool:
    """True when the page is shown and nothing can be sent to it."""
    with undone():
        return browser.post(address).status_code == 405 != browser.get(address).status_code


@pytest.mark.requirement("REQ-018")
def test_an_auditor_changes_nothing_whatever_is_sent(site: SimpleNamespace) -> None:
    browser, before = signed_in(site.auditor), state_of_the_database()
    known = {**site.objects, "pk": site.objects["subject"], "code": site.study.code}
    for page in pages():
        if not page.parameters & {"pk", "code"} or page.name in {"audit-review", *ACCOUNTS}:
            continue  # the auditor's one act, the person's own account, and lists
        address = address_of(page, known | MORE.get(page.name, {}))
        answer = browser.post(address, {"why": "Because", "reason": "Because"})
        assert answer.status_code in {403, 404, 405}, page.name
        assert b"<form method" not in answer.content.split(b"</header>")[-1], page.name
    assert state_of_the_database() == before


@pytest.mark.requirement("REQ-018")
def test_a_depot_manager_sees_centres_and_no_subject(site: SimpleNamespace) -> None:
    browser = signed_in(site.depot_manager)
    assert browser.get(reverse("centre", args=[site.here.pk])).status_code == 200
    assert browser.get(reverse("subject", args=[site.objects["subject"]])).status_code == 404
    assert browser.get(reverse("accrual", args=[site.study.code])).status_code == 403


@pytest.mark.requirement("REQ-018")
def test_who_reviews_the_audit_trail_holds_no_duty_that_leaves_a_trail() -> None:
    assert MAY[Role.AUDITOR] - READING == {Act.REVIEW_AUDIT}
    for role in Role:
        changes = bool(MAY[role] - READING)
        alone = role == Role.AUDITOR
        assert one_person_may_hold([Role.AUDITOR, role]) is (alone or not changes), role
