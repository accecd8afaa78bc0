"""Signatures are lines of the trail: who signed which record, as what, and its hash."""

import csv
from collections.abc import Callable
from html import unescape
from types import SimpleNamespace

import pytest
from django.test import Client
from django.urls import reverse

from iwrs import clock
from iwrs.acts import act
from iwrs.signatures import Record, Signature
from iwrs.signatures.models import SignedRecord
from iwrs.signatures.services import keep
from tests.factories import TESTER
from trial.audit.trail import Filter, all_of

pytestmark = [pytest.mark.django_db, pytest.mark.requirement("REQ-030")]


@pytest.fixture
def signed(site: SimpleNamespace) -> Callable[[str], SignedRecord]:
    def made(kind: str) -> SignedRecord:
        signer = site.investigator
        signature = Signature(
            signed_by=str(signer),
            signed_at=clock.now(),
            meaning=f"I sign this {kind}",
            account=signer.pk,
            printed_name=signer.name,
            role="investigator",
            shown="",
        )
        with act("test", by=TESTER):
            row = keep(signature, Record(kind, 7, {"subject": "0101-003"}), study=site.study)
        assert row is not None
        return row

    return made


def test_a_signature_is_a_line_of_the_page_and_of_the_copy(
    site: SimpleNamespace, browser: Callable[..., Client], signed: Callable[[str], SignedRecord]
) -> None:
    row = signed("dose reduction")
    auditor, asked = browser(site.auditor), {"act": "sign dose"}
    page = unescape(auditor.get(reverse("audit", args=[site.study.code]), asked).content.decode())
    told = f"signed the record ‘dose reduction’ of subject 0101-003, SHA-256 {row.sha256}"
    assert f"{site.investigator.name} (Investigator) {told}" in page
    assert "I sign this dose reduction" in page
    copy = auditor.get(reverse("audit-csv", args=[site.study.code]), asked)
    [line] = csv.DictReader(b"".join(copy.streaming_content).decode().splitlines())
    assert (line["person or system"], line["act"]) == (
        str(site.investigator),
        "sign dose reduction",
    )


def test_that_of_a_code_break_is_read_by_those_only_who_may_know(
    site: SimpleNamespace, signed: Callable[[str], SignedRecord]
) -> None:
    signed("code break")
    signed("correction")
    for knows, count in ((True, 2), (False, 1)):
        wanted = Filter(site.study, tables=("signatures.signedrecord",), code_breaks=knows)
        assert len([each for some in all_of(wanted) for each in some]) == count
    hidden = Filter(site.study, text="code break", code_breaks=False)
    assert [each for some in all_of(hidden) for each in some] == []
