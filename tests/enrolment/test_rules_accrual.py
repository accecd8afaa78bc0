"""Pausing and closing accrual in a country, and closing a centre."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.urls import reverse

from enrolment.accrual import close_centre, set_country_status
from enrolment.models import Centre, CountryAccrual, Subject
from enrolment.services import activate_centre, screen
from iwrs.problems import Invalid, Problem
from tests import factories as make
from tests.portal.conftest import signed_in, site
from trial.services import randomize

__all__ = ["signed_in", "site"]
pytestmark = pytest.mark.django_db
BY = make.TESTER


@pytest.fixture
def centre() -> Centre:
    return make.a_centre(make.a_study())


def problem_of(call: Callable[[], Any]) -> str:
    with pytest.raises(Problem) as refused:
        call()
    return refused.value.code


def test_a_paused_country_takes_nobody_and_an_open_one_goes_on(centre: Centre) -> None:
    study = centre.study
    german = make.a_centre(study, country_code="DE", country_name="Germany")
    waiting, abroad = make.a_subject(centre), make.a_subject(german)
    treated = make.a_randomized_subject(centre)
    set_country_status(study, "FR", "paused", by=BY, why="Inspection")
    later = make.a_centre(study)
    count = Subject.objects.count()
    for here in (centre, later):
        answers = make.screening(study)
        assert problem_of(lambda c=here, a=answers: screen(c, a, by=BY)) == "country_not_open"
    assert problem_of(lambda: randomize(waiting, by=BY)) == "country_not_open"
    assert Subject.objects.count() == count
    assert not randomize(treated, by=BY).first_time, "the first answer is always given"
    assert randomize(abroad, by=BY).first_time
    set_country_status(study, "FR", "open", by=BY, why="Done")
    assert randomize(waiting, by=BY).first_time


def test_steps_that_cannot_be(centre: Centre) -> None:
    study = centre.study
    for code, status, why, field in [
        ("IT", "paused", "Audit", "country"),
        ("FR", "ajar", "Audit", "status"),
        ("FR", "paused", " ", "why"),
    ]:
        with pytest.raises(Invalid) as refused:
            set_country_status(study, code, status, by=BY, why=why)
        assert list(refused.value.errors) == [field]
    set_country_status(study, "FR", "closed", by=BY, why="Enough")
    again = set_country_status(study, "FR", "closed", by=BY, why="Enough")
    assert again.status == "closed"
    for status in ("open", "paused"):
        code = problem_of(lambda s=status: set_country_status(study, "FR", s, by=BY, why="No"))
        assert code == "country_status"
    assert CountryAccrual.objects.count() == 1


def test_a_closed_centre_stays_closed(centre: Centre) -> None:
    waiting = make.a_subject(centre)
    with pytest.raises(Invalid):
        close_centre(centre, by=BY, why="")
    assert close_centre(centre, by=BY, why="The investigator left").status == "closed"
    assert problem_of(lambda: close_centre(centre, by=BY, why="Again")) == "centre_status"
    assert problem_of(lambda: activate_centre(centre, by=BY)) == "centre_status"
    assert problem_of(lambda: randomize(waiting, by=BY)) == "centre_not_active"


def test_the_study_manager_does_both_on_pages(
    site: SimpleNamespace, signed_in: Callable[..., Any]
) -> None:
    manager = signed_in(site.study_manager)
    accrual = reverse("accrual", args=[site.study.code])
    country = reverse("country-accrual", args=[site.study.code])
    assert country in manager.get(accrual).content.decode()
    typed = {"country": "FR", "status": "paused", "why": "Inspection"}
    refused = manager.post(country, typed | {"country": "IT"})
    assert refused.status_code == 422
    assert "Inspection" in refused.content.decode()
    assert manager.post(country, typed).url == accrual
    assert "Not open in: FR: Paused." in manager.get(accrual).content.decode()
    close = reverse("close-centre", args=[site.here.pk])
    assert close in manager.get(reverse("centre", args=[site.here.pk])).content.decode()
    assert manager.post(close, {"why": ""}).status_code == 422
    assert manager.post(close, {"why": "Too slow"}).status_code == 302
    site.here.refresh_from_db()
    assert site.here.status == "closed"
    for role in ("site_coordinator", "investigator"):
        assert signed_in(getattr(site, role)).post(close, {"why": "x"}).status_code == 403
        assert signed_in(getattr(site, role)).post(country, typed).status_code == 404
