"""The audit trail of the unblinded side: the same page over its own history."""

import re
from html import unescape

import pytest
from django.db import connection

from iwrs.audit_trail.models import Access
from randomization.unblinded.models import RandomizationList
from tests.roles import as_unblinded


def trail(browser, study, **asked) -> str:
    query = "&".join(f"{key}={value}" for key, value in asked.items())
    answer = browser.get(f"/studies/{study.code}/audit/?{query}")
    assert answer.status_code == 200, answer.content.decode()
    return unescape(answer.content.decode())


@pytest.mark.requirement("REQ-030")
def test_the_list_is_in_the_trail_of_the_unblinded_side(study, statistician, supplier) -> None:
    made = statistician.post(f"/studies/{study.code}/list/generate/")
    assert made.status_code == 302
    for browser in (statistician, supplier):
        text = trail(browser, study)
        assert re.search(r"recorded list 1\b", text)
        assert "enrolment" not in text
    with as_unblinded():
        looks = list(Access.objects.values_list("page", flat=True))
        assert looks == ["the audit trail"] * 2
        [seed] = RandomizationList.objects.values_list("seed", flat=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM public.audit_access")
        assert cursor.fetchone() == (0,)
    seed = bytes(seed).hex()
    assert seed not in trail(statistician, study)
    for text in (seed, seed[:8], "\\x" + seed[:8]):
        asked = {"text": text, "what": "randomization.randomizationlist"}
        assert "No line fits." in trail(statistician, study, **asked)
    copied = statistician.get(
        f"/studies/{study.code}/audit/csv/?what=randomization.randomizationlist"
    )
    with as_unblinded():
        rows = b"".join(copied.streaming_content).decode()
    assert "list 1" in rows
    assert seed not in rows


@pytest.mark.requirement("REQ-013")
def test_another_study_is_not_found(study, statistician) -> None:
    from tests.factories import a_study

    other = a_study(with_list=False)
    assert statistician.get(f"/studies/{other.code}/audit/").status_code == 404
    assert statistician.get("/studies/none/audit/").status_code == 404
