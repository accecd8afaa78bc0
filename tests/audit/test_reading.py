"""The audit trail is read in sentences, narrowed and paged; nobody reads what is not theirs."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.urls import reverse

from iwrs.audit_trail.models import Access
from tests.audit.conftest import correct
from tests.factories import (
    a_centre,
    a_study,
    a_subject,
    a_user,
)
from tests.queries import queries_of
from trial.audit.sources import sources
from trial.audit.trail import Filter, Place, all_of, page_of

pytestmark = pytest.mark.django_db
Browse = Callable[..., Client]


def page(client: Client, site: SimpleNamespace, **asked: str) -> str:
    answer = client.get(reverse("audit", args=[site.study.code]), asked)
    assert answer.status_code == 200, answer.content.decode()
    return unescape(answer.content.decode())


def sentences(text: str) -> list[str]:
    return re.findall(r'<p class="told">(.*?)</p>', text)


@pytest.fixture
def corrected(site: SimpleNamespace, browser: Browse) -> SimpleNamespace:
    """A subject in screening, one of whose answers was corrected."""
    site.subject = a_subject(site.here, eligible=False)
    factor = site.study.definition.factors[0]
    site.factor = factor
    old = site.subject.strata[factor.key]
    site.old, site.new = old, next(each.key for each in factor.levels if each.key != old)
    correct(
        browser(site.site_coordinator),
        site.subject,
        "CT read again",
        **{f"strata.{factor.key}": site.new},
    )
    return site


@pytest.mark.requirement("REQ-030")
def test_a_correction_is_told_in_a_sentence(corrected: SimpleNamespace, browser: Browse) -> None:
    text = page(browser(corrected.auditor), corrected, what="enrolment.subject:strata")
    labels = {each.key: each.label for each in corrected.factor.levels}
    [told] = sentences(text)
    name, question = corrected.site_coordinator.name, corrected.factor.question
    assert told.startswith(f"{name} (Site coordinator) changed")
    assert told.endswith("; reason: CT read again")
    values = text[text.index(told) : text.index(told) + 2000]
    assert f"‘{question}’" in values
    assert f"from {labels[corrected.old]} to {labels[corrected.new]}" in values
    assert re.search(r"\(Europe/Paris\), [^<]*\d\d:\d\d UTC", values)


@pytest.mark.requirement("REQ-030")
def test_each_filter_narrows_to_what_fits(corrected: SimpleNamespace, browser: Browse) -> None:
    other = a_subject(corrected.here)
    client = browser(corrected.auditor)
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"

    def found(**asked: str) -> list[str]:
        return sentences(page(client, corrected, **asked))

    assert all(other.number not in each for each in found(subject=corrected.subject.number))
    assert any(other.number in each for each in found(subject=other.number))
    mine = found(by=corrected.site_coordinator.email)
    assert mine
    assert all(each.startswith(corrected.site_coordinator.name) for each in mine)
    assert found(act="change screening") == found(text="CT read again")
    assert 0 < len(found(act="change screening")) < len(found())
    assert len(found(what="enrolment.subject:strata")) == 1
    assert found(what="enrolment.subject:consent_on") == []
    assert all("answer" in each for each in found(what="enrolment.eligibilityanswer"))
    subjects = found(what="enrolment.subject")
    assert found(what="enrolment.subject", since=today, until=today) == subjects
    assert found(since=tomorrow) == found(until="2020-01-01") == []
    assert found(text="no such 100%") == found(by="%") == found(by="\\") == []


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"subject": "9999-999"}, "No subject of this study has this number."),
        ({"since": "yesterday"}, "Give the day as year-month-day"),
        ({"until": "9999-12-31"}, "Give a day between 1900-01-01 and 2199-12-31."),
        ({"since": "0001-01-01"}, "Give a day between 1900-01-01 and 2199-12-31."),
        ({"since": "2020-02-02", "until": "2020-02-01"}, "This day is before the first day."),
        ({"what": "accounts.user:password; --"}, "Choose one of the answers shown."),
    ],
)
def test_a_wrong_filter_is_said_and_kept(
    site: SimpleNamespace, browser: Browse, asked: dict[str, str], said: str
) -> None:
    a_subject(site.here)
    answer = browser(site.auditor).get(reverse("audit", args=[site.study.code]), asked)
    text = unescape(answer.content.decode())
    assert answer.status_code == 422
    assert said in text
    assert sentences(text) == []
    assert next(iter(asked.values())) in text or "what" in asked


@pytest.mark.requirement("REQ-030")
def test_pages_by_key_hold_every_line_once(site: SimpleNamespace, browser: Browse) -> None:
    for _ in range(6):
        a_subject(site.here)
    every = [each.place for some in all_of(Filter(site.study), at_once=7) for each in some]
    assert len(every) == len(set(every)) > 60
    assert every == sorted(every, reverse=True)
    client, asked, read = browser(site.auditor), "", 0
    while True:
        text = page(client, site, **({"before": asked} if asked else {}))
        read += len(sentences(text))
        older = re.search(r'rel="next" href="([^"]*)"', text)
        if older is None:
            break
        [asked] = parse_qs(urlsplit(older[1]).query)["before"]
    # Opening the pages left lines of its own, which are newer than what was read.
    assert read >= len(every)
    assert Place.read("not a place") is None
    assert sentences(page(client, site, before="2020-01-01T00:00:00.000000~x~1")) == []


def test_queries_do_not_grow_with_the_lines(site: SimpleNamespace, browser: Browse) -> None:
    client = browser(site.auditor)

    def queries() -> int:
        seen = queries_of(client, reverse("audit", args=[site.study.code]))
        assert not any("count(" in each.lower() for each in seen)
        return len(seen)

    for _ in range(6):  # enough to fill a page: one that tells of more kinds asks for more names
        a_subject(site.here)
    few = queries()
    for _ in range(8):
        a_subject(site.here)
    assert queries() <= few
    assert few < 25


@pytest.mark.requirement("REQ-013", "REQ-030")
def test_another_studys_lines_are_not_in_the_trail(site: SimpleNamespace, browser: Browse) -> None:
    elsewhere = a_centre(a_study(with_list=False), cover=0)
    theirs = a_subject(elsewhere)
    text = page(browser(site.auditor), site)
    assert theirs.number not in text
    assert elsewhere.name not in text
    assert elsewhere.study.code not in text
    other = browser(site.auditor).get(reverse("audit", args=[elsewhere.study.code]))
    assert other.status_code == 404


@pytest.mark.requirement("REQ-011", "REQ-013")
def test_who_may_read_it(site: SimpleNamespace, browser: Browse) -> None:
    address = reverse("audit", args=[site.study.code])
    for role, status in [
        ("auditor", 200),
        ("study_manager", 200),
        ("administrator", 403),
        ("safety_physician", 403),
        ("investigator", 404),
        ("site_coordinator", 404),
    ]:
        assert browser(getattr(site, role)).get(address).status_code == status, role


@pytest.mark.requirement("REQ-030")
def test_the_trail_of_a_subject_is_for_those_who_see_the_subject(
    site: SimpleNamespace, browser: Browse
) -> None:
    subject, other = a_subject(site.here), a_subject(site.there)
    mine = browser(site.pharmacist).get(reverse("subject-audit", args=[subject.pk]))
    assert mine.status_code == 200
    told = sentences(unescape(mine.content.decode()))
    assert any(f"recorded subject {subject.number}" in each for each in told)
    assert not any(other.number in each for each in told)
    theirs = browser(site.pharmacist).get(reverse("subject-audit", args=[other.pk]))
    assert theirs.status_code == 404


def test_every_history_table_leads_to_a_study_or_a_person() -> None:
    found = sources()
    assert len(found) > 20
    lost = [each.key for each in found if each.study() is None and each.person() is None]
    assert lost == []


def test_every_history_table_of_the_unblinded_side_leads_to_one(settings: object) -> None:
    settings.SIDE = "unblinded"  # type: ignore[attr-defined]
    found = {each.key: each for each in sources()}
    assert {"randomization.allocation", "dispensing.kitcontent"} <= set(found)
    assert "enrolment.subject" not in found
    lost = [key for key, each in found.items() if each.study() is None and each.person() is None]
    assert lost == []


def test_who_looked_is_recorded_and_is_in_the_trail(site: SimpleNamespace, browser: Browse) -> None:
    client = browser(site.auditor)
    page(client, site, by="Tester")
    [look] = Access.objects.all()
    assert (look.by, look.role, look.study_code) == (
        str(site.auditor),
        "auditor",
        site.study.code,
    )
    assert (look.page, look.copied) == ("the audit trail", False)
    assert look.about == "Person or system: Tester"
    assert abs(look.at - datetime.now(UTC)) < timedelta(minutes=1)
    told = sentences(page(client, site))
    assert any(
        each.startswith(f"{site.auditor.name} (Auditor) looked at the audit trail") for each in told
    )
    refused = browser(site.administrator).get(reverse("audit", args=[site.study.code]))
    assert refused.status_code == 403
    assert not Access.objects.filter(by=str(site.administrator)).exists()


def test_a_person_without_a_role_in_the_study_is_not_in_its_trail(site: SimpleNamespace) -> None:
    stranger = a_user("monitor", centre=a_centre(a_study(with_list=False), cover=0))
    events = page_of(Filter(site.study), size=500)
    assert not any(stranger.name in str(each.now) for each in events)
