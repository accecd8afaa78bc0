"""The pages on which a statistician names one subject's arm."""

import pytest
from django.urls import reverse

from iwrs.accounts.models import Role
from iwrs.models import Study
from tests import factories as make
from tests.roles import as_unblinded
from tests.unblinded_site.conftest import PASSWORD, Browser

pytestmark = pytest.mark.django_db


class TestForced:
    @pytest.fixture
    def study(self, unblinded_side: None) -> Study:
        return make.a_study(keys="forced_allocation = true")

    def test_an_arm_is_named_on_the_page_with_a_signature(self, study, person):
        subject = make.a_subject(make.a_centre(study))
        user = person(Role.UNBLINDED_STATISTICIAN)
        browser = Browser(user)
        listing = reverse("forced-allocations", args=[study.code])
        assert listing in browser.get("/").content.decode()
        address = reverse("force-allocation", args=[study.code, subject.pk])
        assert address in browser.get(listing).content.decode()
        typed = {"arm": "PBO", "why": "Asked by the DSMB", "signer": user.email}
        wrong = sign(browser, address, **typed, password="not it")
        assert wrong.status_code in (403, 422)
        assert "Asked by the DSMB" in wrong.content.decode()
        assert sign(browser, address, **typed, password=PASSWORD).status_code == 302
        page = browser.get(listing).content.decode()
        assert "Asked by the DSMB" in page
        assert "I name this subject" in page

    def test_there_is_no_such_page_where_the_study_does_not_allow_it(self, unblinded_side):
        study = make.a_study()
        with as_unblinded():
            user = make.a_user(Role.UNBLINDED_STATISTICIAN, study=study)
        browser = Browser(user)
        assert browser.get(reverse("forced-allocations", args=[study.code])).status_code == 404
        assert "Arms named" not in browser.get("/").content.decode()


def sign(browser: Browser, address: str, **typed: str):
    """Send the page's form with the hash of the record that it shows."""
    page = browser.get(address).content.decode()
    shown = page.split('name="shown" value="')[1].split('"')[0]
    return browser.post(address, shown=shown, **typed)
