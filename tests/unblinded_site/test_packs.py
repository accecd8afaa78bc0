"""Emergency holders and sealed packs on the unblinded site."""

import pyrage
import pytest
from django.urls import reverse

from dsmb.models import PaperPack, SealedPack
from dsmb.unblinded.models import EmergencyHolder
from iwrs.accounts.models import Role
from iwrs.models import Study
from tests.factories import a_centre, a_holder, a_study, an_active_list
from tests.roles import as_unblinded
from tests.unblinded_site.conftest import Browser


def text_of(response) -> str:
    return response.content.decode()


def register(browser: Browser, study: Study, **changes: str):
    typed = {
        "name": "Night desk",
        "who": "Pharmacy, +33 1 00 00 00 00",
        "public_key": str(pyrage.x25519.Identity.generate().to_public()),
    }
    return browser.post(reverse("register-holder", args=[study.code]), **(typed | changes))


@pytest.mark.requirement("REQ-079")
def test_a_statistician_registers_replaces_and_ends_a_holder_and_makes_packs(
    study: Study, statistician: Browser
):
    a_centre(study, cover=0)
    page = reverse("packs", args=[study.code])
    assert "There is no emergency holder" in text_of(statistician.get(page))
    make_now = reverse("make-packs", args=[study.code])
    refused = statistician.post(make_now)
    assert refused.status_code == 409
    assert "The study has no emergency holder." in text_of(refused)

    assert register(statistician, study).status_code == 302
    assert statistician.post(make_now).status_code == 302
    shown = text_of(statistician.get(page))
    assert SealedPack.objects.get().sha256 in shown
    assert "Of the holders of now" in shown
    with as_unblinded():
        first = EmergencyHolder.objects.get()

    unanswered = register(statistician, study, name="Day desk")
    assert unanswered.status_code == 422
    assert "Whom does this holder replace?" in text_of(unanswered)
    sent = register(statistician, study, name="Day desk", replaces=str(first.pk))
    assert sent.status_code == 302
    shown = text_of(statistician.get(page))
    assert "Older keys" in shown
    assert "Day desk is an emergency holder now." in shown
    with as_unblinded():
        second = EmergencyHolder.objects.get(ended_at=None)
    end = reverse("end-holder", args=[study.code, second.pk])
    assert statistician.post(end, why="").status_code == 422
    assert statistician.post(end, why="Left the company").status_code == 302
    assert statistician.post(end, why="Again").status_code == 409
    assert "There is no emergency holder" in text_of(statistician.get(page))


def test_the_randomization_pack_is_made_with_the_others_and_shown(
    statistician: Browser, study: Study
):
    with as_unblinded():
        a_holder(study)
    page = reverse("packs", args=[study.code])
    assert "No randomization list is in use." in text_of(statistician.get(page))
    an_active_list(study)
    assert "None was made yet." in text_of(statistician.get(page))
    assert statistician.post(reverse("make-packs", args=[study.code])).status_code == 302
    shown = text_of(statistician.get(page))
    assert "packs and the randomization pack made." in shown
    assert PaperPack.objects.get().sha256 in shown


def test_a_wrong_key_is_said_beside_the_field(study: Study, statistician: Browser):
    secret = str(pyrage.x25519.Identity.generate())
    refused = register(statistician, study, public_key=secret)
    assert refused.status_code == 422
    assert "This is a secret key." in text_of(refused)


def test_a_holder_of_another_study_does_not_exist(study: Study, statistician: Browser):
    other = a_study(with_list=False)
    with as_unblinded():
        theirs = a_holder(other)
    assert statistician.get(reverse("end-holder", args=[study.code, theirs.pk])).status_code == 404
    with as_unblinded():
        a_holder(study)
    sent = register(statistician, study, replaces=str(theirs.pk))
    assert sent.status_code == 422


def test_the_supply_manager_has_no_packs(study: Study, person):
    supplier = Browser(person(Role.SUPPLY_MANAGER))
    for name in ("packs", "make-packs", "register-holder"):
        assert supplier.get(reverse(name, args=[study.code])).status_code == 403
