"""Screening a person again after a screen failure, as often as the study allows."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import ProgrammingError, connection, transaction
from django.urls import reverse

from enrolment.models import Centre, Subject
from enrolment.rescreening import rescreen
from enrolment.services import record_screen_failure
from iwrs import studies
from iwrs.models import Study
from iwrs.problems import Invalid, Problem
from tests import factories as make
from tests.api.client import Edc, screening_body
from tests.portal.conftest import a_site, signed_in
from tests.portal.test_acts import screening_form

__all__ = ["signed_in"]
pytestmark = [pytest.mark.django_db, pytest.mark.requirement("REQ-081")]
BY = make.TESTER


@pytest.fixture
def study() -> Study:
    return make.a_study(in_study="max_rescreenings = 2")


@pytest.fixture
def centre(study: Study) -> Centre:
    return make.a_centre(study)


def failed(centre: Centre) -> Subject:
    subject = make.a_subject(centre)
    return record_screen_failure(subject, by=BY, reason="Infection")


def refused(subject: Subject) -> str:
    count = Subject.objects.count()
    with pytest.raises(Problem) as problem:
        rescreen(subject, make.screening(subject.study), by=BY)
    assert Subject.objects.count() == count
    return problem.value.code


def test_a_new_number_linked_to_the_old_one_until_the_limit(centre: Centre) -> None:
    first = failed(centre)
    second = rescreen(first, make.screening(centre.study), by=BY)
    assert (second.rescreen_of, second.rescreening, second.status) == (first, 1, "eligible")
    assert second.number != first.number
    first.refresh_from_db()
    assert (first.status, first.failure_reason) == ("screen_failed", "Infection")
    assert refused(first) == "rescreened"
    assert refused(second) == "not_screen_failed"
    record_screen_failure(second, by=BY, reason="Infection")
    third = rescreen(second, make.screening(centre.study), by=BY)
    record_screen_failure(third, by=BY, reason="Infection")
    assert refused(third) == "rescreening_limit"
    with pytest.raises(ProgrammingError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE enrolment_subject SET rescreening = 1 WHERE id = %s", [third.pk])


def test_a_study_that_says_nothing_allows_none_and_bad_answers_register_nobody(
    centre: Centre,
) -> None:
    assert refused(failed(make.a_centre(make.a_study()))) == "rescreening_limit"
    first = failed(centre)
    with pytest.raises(Invalid):
        rescreen(first, make.screening(centre.study, strata={"visceral": "maybe"}), by=BY)
    assert not Subject.objects.filter(rescreen_of=first).exists()
    randomized = make.a_randomized_subject(centre)
    assert refused(randomized) == "not_screen_failed"


def test_a_site_screens_again_on_a_page(signed_in: Callable[..., Any]) -> None:
    site: SimpleNamespace = a_site()
    allowed = make.small_definition(site.study.code, in_study="max_rescreenings = 1")
    studies.load(allowed, by=BY, list_exists=lambda study: True)
    first = failed(site.here)
    browser = signed_in(site.site_coordinator)
    page, address = (reverse(name, args=[first.pk]) for name in ("subject", "rescreen"))
    assert address in browser.get(page).content.decode()
    assert browser.post(address, screening_form(site.study, consent_on="")).status_code == 422
    sent = browser.post(address, screening_form(site.study))
    made = Subject.objects.get(rescreen_of=first)
    assert sent.url == reverse("subject", args=[made.pk])
    shown = browser.get(page).content.decode()
    assert f'Screened again as <a href="{sent.url}">{made.number}</a>' in shown
    assert address not in shown
    assert f">{first.number}</a>" in browser.get(sent.url).content.decode()
    again = browser.post(address, screening_form(site.study))
    assert again.status_code == 409
    assert made.number in again.content.decode()
    assert signed_in(site.pharmacist).get(address).status_code == 403


def test_an_edc_system_screens_again(study: Study, centre: Centre) -> None:
    edc, first = Edc(study), failed(centre)
    body = screening_body(centre)
    del body["centre"]
    made = edc.post(f"subjects/{first.number}/rescreening", body)
    assert made.status_code == 201
    assert made.json()["rescreen_of"] == first.number
    assert made["Location"] == f"/api/v1/subjects/{made.json()['number']}"
    assert edc.get(f"subjects/{made.json()['number']}").json()["rescreen_of"] == first.number
    again = edc.post(f"subjects/{first.number}/rescreening", body)
    assert (again.status_code, again.json()["code"]) == (409, "rescreened")
    assert edc.get(f"subjects/{first.number}").json()["rescreen_of"] is None
