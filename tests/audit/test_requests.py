"""What one request did is tied together in the trail by one id, and told from what others did."""

import csv
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from enrolment import services
from iwrs.accounts.models import SignInEvent
from iwrs.acts import one_request
from iwrs.audit_trail.models import Access, Review
from iwrs.models import Study
from tests.dsmb.rows import as_owner
from tests.factories import TESTER, a_subject
from tests.pdf import pdf_text
from trial.audit.trail import Filter, all_of

pytestmark = [pytest.mark.django_db, pytest.mark.requirement("REQ-025")]
Browse = Callable[..., Client]
PASSWORD = "correct horse battery staple"
A_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def suspend(client: Client, pk: int) -> None:
    sent = client.post(reverse("suspend-centre", args=[pk]), {"why": "No staff"})
    assert sent.status_code == 302, sent.content.decode()


def requests_of(site: SimpleNamespace, act: str) -> list[str]:
    """The id of each line of the act, newest first."""
    wanted = Filter(site.study, acts=(act,), tables=("enrolment.centre", "enrolment.subject"))
    return [each.request for some in all_of(wanted) for each in some]


def test_two_acts_of_one_request_share_its_id_and_two_requests_do_not(
    site: SimpleNamespace, browser: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    suspend_one = services.suspend_centre

    def suspend_both(centre: Any, **more: Any) -> None:
        for each in (site.here, site.there):
            suspend_one(each, **more)

    client = browser(site.study_manager)
    monkeypatch.setattr(services, "suspend_centre", suspend_both)
    suspend(client, site.here.pk)
    together = requests_of(site, "suspend centre")
    assert len(together) == 2
    assert len(set(together)) == 1
    monkeypatch.undo()
    site.here.refresh_from_db()
    services.activate_centre(site.here, by=TESTER, ethics_approved_on=site.here.ethics_approved_on)
    suspend(client, site.here.pk)
    newest, *before = requests_of(site, "suspend centre")
    assert before == together
    assert newest not in before


def test_the_pdf_names_the_request_of_a_line(site: SimpleNamespace, browser: Browse) -> None:
    suspend(browser(site.study_manager), site.here.pk)
    [request] = requests_of(site, "suspend centre")
    asked = reverse("audit-pdf", args=[site.study.code]) + "?act=suspend+centre"
    answer = browser(site.auditor).get(asked)
    assert request in "".join(pdf_text(answer.content).split())


def test_acts_outside_a_request_have_an_id_each(site: SimpleNamespace) -> None:
    for _ in range(2):
        a_subject(site.here)
    assert len(set(requests_of(site, "screen"))) == 2
    with one_request():
        a_subject(site.here)
        a_subject(site.here)
    assert len(set(requests_of(site, "screen"))) == 3
    a_subject(site.here)
    assert len(set(requests_of(site, "screen"))) == 4


def test_the_csv_and_the_page_show_it_and_the_answer_does_not(
    site: SimpleNamespace, browser: Browse
) -> None:
    client = browser(site.study_manager)
    sent = client.post(reverse("suspend-centre", args=[site.here.pk]), {"why": "No staff"})
    [request] = requests_of(site, "suspend centre")
    assert A_UUID.fullmatch(request)
    assert request not in str(sent.headers) + sent.content.decode()
    reader = browser(site.auditor)
    asked = {"act": "suspend centre"}
    copy = reader.get(reverse("audit-csv", args=[site.study.code]), asked)
    lines = b"".join(copy.streaming_content).decode().splitlines()
    assert {each["request"] for each in csv.DictReader(lines)} == {request}
    page = reader.get(reverse("audit", args=[site.study.code]), asked).content.decode()
    assert f"request {request}" in page
    found = reader.get(reverse("audit", args=[site.study.code]), {"text": request})
    assert "No staff" in found.content.decode()
    looks = reader.get(reverse("audit", args=[site.study.code]), {"what": "audit.access"})
    assert "· request" in looks.content.decode()


def test_looks_reviews_and_what_happens_at_the_door_keep_it(
    site: SimpleNamespace, browser: Browse
) -> None:
    client = Client()
    for password in ("a guess", PASSWORD):
        typed = {"email": site.auditor.email, "password": password}
        client.post(reverse("sign-in"), typed)
    refused, let_in = SignInEvent.objects.order_by("pk").values_list("of_request", flat=True)
    assert refused
    assert let_in
    assert refused != let_in
    reader = browser(site.auditor)
    reader.get(reverse("audit", args=[site.study.code]))
    assert Access.objects.latest("pk").of_request
    with as_owner():
        Study.objects.update(created_at=datetime.now(UTC) - timedelta(days=9))
    until = datetime.now(UTC).date() - timedelta(days=1)
    typed = {"until": f"{until}", "notes": "Read."}
    sent = reader.post(reverse("audit-review", args=[site.study.code]), typed)
    assert sent.status_code == 302, sent.content.decode()
    assert Review.objects.get().of_request not in {None, Access.objects.latest("pk").of_request}
