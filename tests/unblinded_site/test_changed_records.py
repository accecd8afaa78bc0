"""What unblinded people sign: when its row changes afterwards, the page of the signature says so.

Nothing can change these rows in what was signed but who owns the database. The opening of a share
of a split seed has no page that shows its signature; the closing of a list signs the record of the
list.
"""

from collections.abc import Callable

import pytest
from django.db.models import Model
from django.urls import reverse

from iwrs.accounts.models import Role, User
from iwrs.models import Study
from iwrs.signatures.models import SignedRecord
from randomization.unblinded.extension import extend_list
from randomization.unblinded.models import CallRelease, ForcedAllocation, RandomizationList
from randomization.unblinded.models_life import Unblinding
from randomization.unblinded.services import generate_list
from tests import factories as make
from tests.dsmb.test_unblinding import a_study_at_its_end
from tests.paper import told_later
from tests.roles import as_unblinded
from tests.signatures.changing import change_as_owner
from tests.signing import components
from tests.unblinded_site.conftest import Browser

DIFFERS = "Signed version differs"
# The signer's role in the study, the page to sign, what is typed there, the page that shows the
# signature, a look for the row, and what is changed in it.
Case = tuple[Study, Role, str, dict[str, str], str, Callable[[], Model], dict[str, object]]
STATISTICIAN = Role.UNBLINDED_STATISTICIAN
GENERATED_BY = make.STATISTICIANS[0]


def a_list() -> Case:
    study = make.a_study(with_list=False)
    with as_unblinded():
        made = generate_list(study, by=GENERATED_BY)
    page = reverse("approve-list", args=[study.code, made.pk])
    changes = {"merkle_root": "0" * 64}
    return study, STATISTICIAN, page, {}, page, RandomizationList.objects.get, changes


def an_extension() -> Case:
    study = make.a_study(length=6)
    with as_unblinded():
        made = RandomizationList.objects.get(study=study)
        extension = extend_list(made, length=20, by=GENERATED_BY)
    page = reverse("approve-extension", args=[study.code, extension.pk])
    changes = {"merkle_root": "0" * 64}
    return study, STATISTICIAN, page, {}, page, lambda: extension, changes


def a_named_arm() -> Case:
    study = make.a_study(keys="forced_allocation = true")
    subject = make.a_subject(make.a_centre(study))
    page = reverse("forced-allocations", args=[study.code])
    address = reverse("force-allocation", args=[study.code, subject.pk])
    typed = {"arm": "PBO", "why": "Asked by the DSMB"}
    return study, STATISTICIAN, address, typed, page, ForcedAllocation.objects.get, {"arm": "EVE"}


def a_paper_number() -> Case:
    study = make.a_study()
    subject = make.a_subject(make.a_centre(study))
    told = told_later(subject)
    page = reverse("paper-numbers", args=[study.code])
    address = reverse("accept-paper", args=[study.code, subject.pk])
    typed = {"paper_number": told.number, "kit": told.kit, "why": "Line 2 of the log"}
    changes = {"reason": "Line 3 of the log"}
    return study, STATISTICIAN, address, typed, page, ForcedAllocation.objects.get, changes


def released_calls() -> Case:
    study = make.a_study(with_list=False)
    centre = make.a_centre(study, cover=1)
    page = reverse("release-kit-calls", args=[study.code, centre.pk])
    typed, changes = {"why": "A network fault"}, {"reason": "No fault"}
    return study, Role.SUPPLY_MANAGER, page, typed, page, CallRelease.objects.get, changes


def an_unblinding() -> Case:
    study = a_study_at_its_end()
    page = reverse("unblind-study", args=[study.code])
    return study, STATISTICIAN, page, {}, page, Unblinding.objects.get, {"events_counted": 9}


CASES = {
    "randomization list": a_list,
    "extension of a list": an_extension,
    "forced allocation": a_named_arm,
    "accepted paper number": a_paper_number,
    "release of calls": released_calls,
    "unblinding of the study": an_unblinding,
}


@pytest.mark.requirement("REQ-038")
@pytest.mark.usefixtures("unblinded_side")
@pytest.mark.parametrize("kind", CASES)
def test_a_later_change_of_a_signed_record_shows(kind: str) -> None:
    study, role, address, typed, page, row_of, changes = CASES[kind]()
    with as_unblinded():
        person: User = make.a_user(role, study=study)
    browser = Browser(person)
    signed = browser.post(address, **typed, **components(person, browser.get(address)))
    assert signed.status_code == 302
    with as_unblinded():
        assert SignedRecord.objects.latest("pk").record_kind == kind
        row = row_of()
    assert "Signed by" in (shown := browser.get(page).content.decode())
    assert DIFFERS not in shown
    change_as_owner(row, **changes)
    assert browser.get(page).content.decode().count(DIFFERS) == 1
