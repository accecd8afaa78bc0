"""The auditor reads what is blinded and changes nothing; the depot manager sees centres."""

from types import SimpleNamespace

import pytest
from django.urls import reverse

from iwrs.accounts.models import Role
from iwrs.permissions import MAY, READING, Act, one_person_may_hold
from tests.hostile.walk import address_of, pages, signed_in, state_of_the_database
from tests.portal.conftest import a_site
from tests.portal.test_scope import MORE, objects_of
from trial.doors import ACCOUNTS


@pytest.fixture
def site(db: None) -> SimpleNamespace:
    made = a_site()
    made.objects = objects_of(made.here)
    return made


@pytest.mark.requirement("REQ-018")
def test_an_auditor_reads_every_page_about_the_study(site: SimpleNamespace) -> None:
    browser = signed_in(site.auditor)
    for name, *of in [
        ("home",),
        ("subjects",),
        ("subject", site.objects["subject"]),
        ("randomized", site.objects["subject"]),
        ("centres",),
        ("centre", site.there.pk),
        ("accrual", site.study.code),
        ("analysis", site.study.code),
    ]:
        assert browser.get(reverse(name, args=of)).status_code == 200, name


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
