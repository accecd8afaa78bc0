"""Copies of the audit trail: whole, harmless in a spreadsheet, readable to everybody on paper."""

import csv
import io
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from django.http import StreamingHttpResponse
from django.test import Client
from django.urls import reverse

from iwrs.audit_trail.models import Access
from iwrs.paper import printable
from tests.audit.conftest import correct
from tests.factories import TESTER, a_centre, a_subject
from trial.audit import copies
from trial.audit.trail import Filter, all_of

pytestmark = pytest.mark.django_db
FORMULA = '=HYPERLINK("http://example.org")'


def rows_of(answer: StreamingHttpResponse) -> list[dict[str, str]]:
    assert answer.status_code == 200
    assert answer.streaming
    text = b"".join(answer.streaming_content).decode()
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.requirement("REQ-008")
def test_the_csv_has_every_event_with_its_values(
    site: SimpleNamespace, browser: Callable[..., Client]
) -> None:
    subject = a_subject(site.here, eligible=False)
    factor = site.study.definition.factors[0]
    old = subject.strata[factor.key]
    new = next(each.key for each in factor.levels if each.key != old)
    coordinator = browser(site.site_coordinator)
    correct(coordinator, subject, FORMULA, **{f"strata.{factor.key}": new})
    expected = {
        (each.source.events._meta.db_table, str(each.id))
        for some in all_of(Filter(site.study), at_once=1000)
        for each in some
    }
    answer = browser(site.auditor).get(reverse("audit-csv", args=[site.study.code]))
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert f'filename="{site.study.code}-audit-trail-' in answer.headers["Content-Disposition"]
    rows = rows_of(answer)
    assert {(each["table"], each["row"]) for each in rows} >= expected
    labels = {each.key: each.label for each in factor.levels}
    told = (factor.question, labels[old], labels[new])
    [row] = [each for each in rows if (each["value of"], each["from"], each["to"]) == told]
    assert row["person or system"] == str(site.site_coordinator)
    assert row["role"] == "Site coordinator"
    assert row["subject"] == subject.number
    assert row["reason"] == f"'{FORMULA}"
    assert row["time zone"] == "Europe/Paris"
    [look] = Access.objects.filter(copied=True)
    assert look.by == str(site.auditor)


@pytest.mark.requirement("REQ-008")
def test_the_copies_are_narrowed_like_the_page(
    site: SimpleNamespace, browser: Callable[..., Client]
) -> None:
    subject, other = a_subject(site.here), a_subject(site.here)
    address = reverse("audit-csv", args=[site.study.code])
    rows = rows_of(browser(site.auditor).get(address, {"subject": subject.number}))
    assert {each["subject"] for each in rows} == {subject.number}
    assert other.number not in str(rows)
    wrong = browser(site.auditor).get(address, {"subject": "none"})
    assert wrong.status_code == 422
    assert b"No subject of this study has this number." in wrong.content


@pytest.mark.requirement("REQ-008")
def test_the_pdf_is_tagged_and_bears_any_text(
    site: SimpleNamespace, browser: Callable[..., Client]
) -> None:
    centre = a_centre(site.study, cover=0)
    centre.name = '\x07#emph[Hôpital] *Жук* 病院 🏥 \\ $x$ #read("/etc/passwd")'
    centre.save()
    answer = browser(site.auditor).get(reverse("audit-pdf", args=[site.study.code]))
    assert answer.status_code == 200, answer.content[:2000]
    assert printable("Hôpital Жук 病\u202e") == "Hôpital Жук [U+75C5] "
    assert answer.headers["Content-Type"] == "application/pdf"
    assert answer.content.startswith(b"%PDF-1.7")
    assert b"/StructTreeRoot" in answer.content
    assert b"pdfuaid:part>1<" in answer.content.replace(b" ", b"")


def test_a_pdf_that_nobody_could_read_is_refused_in_words(
    site: SimpleNamespace, browser: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "MOST_LINES_OF_PDF", 5)
    answer = browser(site.auditor).get(reverse("audit-pdf", args=[site.study.code]))
    assert answer.status_code == 422
    assert b"A PDF holds at most 5 lines" in answer.content
    assert not Access.objects.filter(copied=True).exists()


@pytest.mark.parametrize("name", ["audit-csv", "audit-pdf"])
def test_who_may_not_read_takes_no_copy(
    site: SimpleNamespace, browser: Callable[..., Client], name: str
) -> None:
    address = reverse(name, args=[site.study.code])
    assert browser(site.administrator).get(address).status_code == 403
    assert browser(site.investigator).get(address).status_code == 404
    assert TESTER.label not in browser(site.administrator).get(address).content.decode()
