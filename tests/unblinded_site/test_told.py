"""The pages on which a statistician accepts a paper number that the system refuses."""

from types import SimpleNamespace

import pytest
from django.urls import reverse

from iwrs.accounts.models import Role
from iwrs.models import Study
from iwrs.signatures.models import SignedRecord
from randomization.unblinded.models import ForcedAllocation
from tests import factories as make
from tests.paper import told_later
from tests.roles import as_unblinded
from tests.unblinded_site.conftest import PASSWORD, Browser
from tests.unblinded_site.test_forced import sign

pytestmark = pytest.mark.django_db


@pytest.fixture
def study(unblinded_side: None) -> Study:
    return make.a_study()


@pytest.fixture
def told(study: Study) -> SimpleNamespace:
    """A subject who was told the second place of the stratum and of the centre's kits."""
    subject = make.a_subject(make.a_centre(study))
    told = told_later(subject)
    wrong = next(each for each in told.kits if each != told.kit)
    return SimpleNamespace(
        study=study, subject=subject, number=told.number, kit=told.kit, wrong=wrong
    )


def test_a_number_is_accepted_with_a_signature_and_shown(told, person):
    user = person(Role.UNBLINDED_STATISTICIAN)
    browser = Browser(user)
    listing = reverse("paper-numbers", args=[told.study.code])
    assert listing in browser.get(reverse("packs", args=[told.study.code])).content.decode()
    address = reverse("accept-paper", args=[told.study.code, told.subject.pk])
    assert address in browser.get(listing).content.decode()
    typed = {"paper_number": told.number, "why": "Line 2 of the log", "signer": user.email}
    typed["password"] = PASSWORD
    refused = sign(browser, address, **typed, kit=told.wrong)
    shown = refused.content.decode()
    assert refused.status_code == 422
    assert "This is not the kit of the told treatment in the told line" in shown
    for text in ("Line 2 of the log", told.number, told.wrong):
        assert text in shown
    spoken = told.number.lower().replace("-", " ")
    typed["paper_number"] = spoken
    assert sign(browser, address, **typed, kit=told.kit).status_code == 302
    page = browser.get(listing).content.decode()
    for text in (told.number, "Line 2 of the log", told.kit.replace(" ", ""), "I accept it"):
        assert text in page
    assert "Signed version differs" not in page
    assert address not in page
    assert browser.get(address).status_code == 404
    with as_unblinded():
        assert ForcedAllocation.objects.get().paper_number == told.number
        assert SignedRecord.objects.get().record_kind == "accepted paper number"
