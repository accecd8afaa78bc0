"""That a code was broken is read by those only who may know it; the treatment by nobody."""

from collections.abc import Callable
from html import unescape

import pytest
from django.test import Client
from django.urls import reverse

from iwrs import clock
from iwrs.problems import Problem
from iwrs.signatures import Signature
from randomization.reconciliation import assess
from randomization.services import request_code_break, reveal_code
from tests.audit.test_reading import sentences
from tests.factories import INVESTIGATOR, TESTER, a_randomized_subject, a_subject
from tests.portal.conftest import a_site
from trial.audit.review import by_risk


@pytest.mark.requirement("REQ-051")
def test_a_code_break_is_in_the_trail_of_those_only_who_may_know(
    committed_db: None, browser: Callable[..., Client]
) -> None:
    site = a_site()
    subject = a_randomized_subject(site.here)
    signature = Signature("Tester", clock.now(), "I ask")
    asked_for = {"by": TESTER, "reason": "emergency", "explanation": "Care."}
    made = request_code_break(subject, signature=signature, **asked_for)
    arm = reveal_code(made, by=TESTER)
    assess(made, by=INVESTIGATOR, necessary=True, impact="None", action="Observed")
    waiting = a_subject(site.here)
    with pytest.raises(Problem, match="not randomized"):
        request_code_break(waiting, signature=signature, **asked_for)
    address = reverse("subject-audit", args=[subject.pk])
    knows = unescape(browser(site.investigator).get(address).content.decode())
    assert "code broken at" in knows
    assert f"recorded code break of subject {subject.number}" in knows
    assert "Care." in knows
    refused = browser(site.investigator).get(reverse("subject-audit", args=[waiting.pk]))
    assert f"refused code break of subject {waiting.number}" in unescape(refused.content.decode())
    first = by_risk(site.study)[0]
    assert (first.risk.key, len(first.lines)) == ("code-breaks", 5)
    other = reverse("subject-audit", args=[waiting.pk])
    for role in (site.site_coordinator, site.pharmacist, site.monitor, site.administrator):
        client = browser(role)
        for asked in ({}, {"act": "reveal"}, {"act": "code"}, {"text": "reveal"}, {"text": "None"}):
            for page in (address, other):
                text = unescape(client.get(page, asked).content.decode())
                assert "code br" not in text.lower()
                assert "reveal" not in "".join(sentences(text))
        for table in ("request", "refusal", "assessment"):
            what = {"what": f"randomization.codebreak{table}"}
            assert client.get(address, what).status_code == 422
    labels = {each.code: each.label for each in site.study.definition.arms}
    assert labels[arm] not in knows
