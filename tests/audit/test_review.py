"""The audit trail is reviewed by risk, period after period, and each review stays."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from html import unescape
from types import SimpleNamespace

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse

from enrolment.services import request_deviation
from iwrs.audit_trail.models import Review
from tests.audit.conftest import correct
from tests.dsmb.rows import as_owner
from tests.factories import TESTER, a_subject, passing_answers
from trial.audit.review import by_risk, reviewed_to

pytestmark = pytest.mark.django_db


def today() -> date:
    """Read when a test runs: a day may end between the collection of the tests and this one."""
    return datetime.now(UTC).date()


@pytest.fixture
def begun(site: SimpleNamespace) -> SimpleNamespace:
    """The trail of a study that began ten days ago."""
    with as_owner():  # no login of the application may say when it began
        type(site.study).objects.filter(pk=site.study.pk).update(
            created_at=datetime.now(UTC) - timedelta(days=10)
        )
    site.study.refresh_from_db()
    return site


def mark(client: Client, site: SimpleNamespace, **typed: str):
    return client.post(reverse("audit-review", args=[site.study.code]), typed)


@pytest.mark.requirement("REQ-032")
def test_what_is_of_higher_risk_comes_first(
    begun: SimpleNamespace, browser: Callable[..., Client]
) -> None:
    answers = passing_answers(begun.study.definition) | {"her2_negative": "unknown"}
    subject = a_subject(begun.here, eligibility=answers)
    request_deviation(subject, "her2_negative", by=TESTER, reason="No result in time")
    correct(browser(begun.site_coordinator), subject, "Read again", **{"baseline.age": "61"})
    found = {each.risk.key: each for each in by_risk(begun.study)}
    assert list(found) == [
        "code-breaks", "removals", "deviations", "corrections", "door", "roles", "releases",
        "study",
    ]  # fmt: skip
    assert found["code-breaks"].lines == found["removals"].lines == []
    assert [str(each).split(" of subject ")[1] for each in found["deviations"].lines]
    assert {each.why for each in found["corrections"].lines} == {"Read again"}
    assert found["roles"].lines
    text = unescape(
        browser(begun.auditor)
        .get(reverse("audit-review", args=[begun.study.code]))
        .content.decode()
    )
    places = [text.index(each.risk.name) for each in found.values()]
    assert places == sorted(places)
    assert "No result in time" in text


@pytest.mark.requirement("REQ-032")
def test_a_review_is_recorded_and_the_next_goes_on_from_there(
    begun: SimpleNamespace, browser: Callable[..., Client]
) -> None:
    client = browser(begun.auditor)
    first, second = today() - timedelta(days=5), today() - timedelta(days=1)
    began = reviewed_to(begun.study)
    assert mark(client, begun, until=str(first), notes="All code breaks").status_code == 302
    assert mark(client, begun, until=str(second), notes="All deviations").status_code == 302
    one, two = Review.objects.order_by("since")
    assert (one.since, one.until) == (began, two.since)
    assert two.until == datetime(second.year, second.month, second.day, tzinfo=UTC) + timedelta(
        days=1
    )
    assert (one.by, one.role, one.notes) == (str(begun.auditor), "auditor", "All code breaks")
    assert reviewed_to(begun.study) == two.until
    told = unescape(
        client.get(
            reverse("audit", args=[begun.study.code]), {"what": "audit.review"}
        ).content.decode()
    )
    assert f"{begun.auditor.name} (Auditor) reviewed the audit trail from" in told
    assert "reason: All deviations" in told


@pytest.mark.requirement("REQ-032")
@pytest.mark.parametrize(
    ("days_ago", "notes", "said"),
    [
        (0, "Looked", "This day has not ended in UTC."),
        (-3, "Looked", "This day has not ended in UTC."),
        (30, "Looked", "This day is reviewed already."),
        (2, " ", "Write a few words here."),
        (2, "", "Write a few words here."),
    ],
)
def test_a_wrong_review_is_refused_and_kept(
    begun: SimpleNamespace,
    browser: Callable[..., Client],
    days_ago: int,
    notes: str,
    said: str,
) -> None:
    day = str(today() - timedelta(days=days_ago))
    answer = mark(browser(begun.auditor), begun, until=day, notes=notes)
    assert answer.status_code == 422
    assert said in unescape(answer.content.decode())
    assert day in answer.content.decode()
    assert not Review.objects.exists()


@pytest.mark.requirement("REQ-011", "REQ-032")
def test_only_an_auditor_reviews(begun: SimpleNamespace, browser: Callable[..., Client]) -> None:
    for role, status in [("study_manager", 403), ("administrator", 403), ("investigator", 404)]:
        client = browser(getattr(begun, role))
        day = str(today() - timedelta(days=1))
        assert mark(client, begun, until=day, notes="Looked").status_code == status, role
    assert not Review.objects.exists()


@pytest.mark.requirement("REQ-032")
def test_the_database_keeps_reviews_as_they_are(begun: SimpleNamespace) -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    fields = {"study_code": begun.study.code, "since": since, "notes": "x", "by": "x"}
    Review.objects.create(until=since + timedelta(days=1), **fields)
    for wrong in (since + timedelta(days=2), since):
        with pytest.raises(IntegrityError), transaction.atomic():
            Review.objects.create(until=wrong, **fields)
    for statement in ("UPDATE audit_review SET notes = 'y'", "DELETE FROM audit_review",
                      "UPDATE audit_access SET by = 'y'", "DELETE FROM audit_access"):  # fmt: skip
        with (
            pytest.raises(Exception, match="permission denied"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
