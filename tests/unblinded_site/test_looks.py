"""Looks at pages of the unblinded site that may tell arms, and copies taken, leave a record."""

from datetime import date

import pytest
from django.urls import reverse

from iwrs.accounts.models import Role, StudyRole, User
from iwrs.audit_trail.models import Access
from iwrs.models import Study
from randomization.unblinded.simulation_plan import Asked, plan_of
from randomization.unblinded.simulations import request_simulation, work_simulations
from tests.dispensing.depots import fill_depot, years_ahead
from tests.factories import STATISTICIANS, a_study
from tests.roles import as_unblinded
from tests.unblinded_site.conftest import Browser

pytestmark = pytest.mark.requirement("REQ-029")
STOCK = "the stock by lot and arm"


def looks() -> list[tuple[str, str, str, bool]]:
    with as_unblinded():
        return list(
            Access.objects.order_by("study_code").values_list(
                "page", "study_code", "role", "copied"
            )
        )


def test_a_home_page_with_stock_is_a_look_in_each_study_whose_stock_it_shows(
    study: Study, person, statistician: Browser
) -> None:
    user: User = person(Role.SUPPLY_MANAGER)
    second, empty, listed = (a_study(with_list=False) for _ in range(3))
    with as_unblinded():
        for each, role in (
            (second, Role.SUPPLY_MANAGER),
            (empty, Role.SUPPLY_MANAGER),
            (listed, Role.UNBLINDED_STATISTICIAN),
        ):
            StudyRole.objects.create(
                user=user, study_code=each.code, role=role, since=date(2000, 1, 1)
            )
    for each in (study, second, listed):
        fill_depot(each, kits=4, expiries=[years_ahead(2)])
    page = Browser(user).get("/").content.decode()
    assert page.count("Stock by lot and arm") == 2
    assert looks() == [
        (STOCK, code, "supply_manager", False) for code in sorted([study.code, second.code])
    ]
    with as_unblinded():
        assert {each.by for each in Access.objects.all()} == {str(user)}


def test_a_home_page_without_stock_is_none(
    study: Study, supplier: Browser, statistician: Browser, auditor: Browser
) -> None:
    assert supplier.get("/").status_code == 200
    fill_depot(study, kits=4, expiries=[years_ahead(2)])
    for browser in (statistician, auditor, Browser()):
        browser.get("/")
    assert looks() == []


def test_the_pdf_of_a_simulation_is_a_copy(study: Study, statistician: Browser) -> None:
    with as_unblinded():
        plan = plan_of(study, Asked(methods="complete", subjects=12))
        request_simulation(study, plan, trials=10, seed=1, by=STATISTICIANS[0])
    pdf = reverse("simulation-pdf", args=[study.code, 1])
    assert statistician.get(pdf).status_code == 404
    assert looks() == []
    with as_unblinded():
        work_simulations(seconds=None)
    assert statistician.get(pdf).status_code == 200
    page = "a simulation of randomization methods"
    assert looks() == [(page, study.code, "unblinded_statistician", True)]
    with as_unblinded():
        assert Access.objects.get().about == "run 1"


def test_the_page_that_unblinds_a_study_is_looked_at(study: Study, statistician: Browser) -> None:
    assert statistician.get(reverse("unblind-study", args=[study.code])).status_code == 200
    assert looks() == [("the unblinding of the study", study.code, "unblinded_statistician", False)]
