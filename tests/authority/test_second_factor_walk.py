"""Every role at every page where second factors are required: who is led to set one up."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from django.test import Client
from django.urls import clear_url_caches, reverse

from iwrs.accounts.models import UNBLINDED_ROLES, Role
from iwrs.permissions import MAY, Act, may
from tests.authority import visitors
from tests.authority.test_permission_walk import Values, address_of
from tests.authority.visitors import Visitor
from tests.factories import a_centre, a_study, a_subject
from tests.hostile.walk import undone
from tests.portal.test_scope import objects_of
from tests.roles import as_unblinded
from trial.doors import ACCOUNTS, DOORS, Address, Of, addresses
from trial.second_factor import WITHOUT

pytestmark = [pytest.mark.django_db, pytest.mark.requirement("REQ-024")]

# One's own account is open, so that a factor can be set up; home is the first page of the others.
OWN_ACCOUNT = ACCOUNTS.keys() - {"home"}


def needs_one(role: Role) -> bool:
    """By the permission table: any act but reading, and entering what a source document says."""
    return bool(MAY[role] - WITHOUT)


def pages(side: str) -> list[Address]:
    """Every page that asks who one is, but one's own account."""
    found = [
        each
        for each in addresses(side)
        if not each.methods and DOORS[side][each.key].of is not Of.ANYBODY
    ]
    return [each for each in found if each.key not in OWN_ACCOUNT]


def test_both_kinds_of_roles_are_walked() -> None:
    led = {role for role in Role if needs_one(role)}
    assert led >= {*UNBLINDED_ROLES, Role.INVESTIGATOR, Role.SAFETY_PHYSICIAN, Role.STUDY_MANAGER}
    assert set(Role) - led  # else nobody would show that the others are left alone


@pytest.fixture
def portal(db: None) -> SimpleNamespace:
    study = a_study()
    here = a_centre(study)
    values: Values = objects_of(here)
    values |= {"pk": values["subject"], "code": study.code}
    before = ("change-answers", "screen-failure", "ask-deviation", "randomize", "randomize-late")
    values |= dict.fromkeys(before, a_subject(here).pk)  # these are for who is not randomized yet
    people = {role: visitors.with_role(role, study, here, "blinded") for role in Role}
    return SimpleNamespace(study=study, here=here, values=values, people=people)


def not_as_required(side: str, people: dict[Role, Visitor], values: Values) -> list[str]:
    """Pages that let a role in which needs a factor, or lead one to it which needs none."""
    wrong, through = [], Client(raise_request_exception=False)
    known = pages(side)
    assert len(known) > 30
    for each in known:
        address = address_of(each.key, each.parameters, values)
        for role, person in people.items():
            through.cookies = person.browser.cookies.copy()
            with as_unblinded() if side == "unblinded" else nullcontext(), undone():
                got = [through.get(address), through.post(address, {})]
            led = [answer.headers.get("Location") == reverse("mfa_index") for answer in got]
            if led != [needs_one(role)] * 2:
                wrong.append(f"{address} {role}: led to the second factor {led}")
    return wrong


def test_at_every_page_of_the_portal_who_needs_a_factor_is_led_to_it(
    portal: SimpleNamespace, settings: SimpleNamespace
) -> None:
    settings.SECOND_FACTOR = "required"
    assert not_as_required("blinded", portal.people, portal.values) == []


def test_at_every_page_of_the_unblinded_site_who_needs_a_factor_is_led_to_it(
    db: None, settings: SimpleNamespace
) -> None:
    study = a_study(with_list=False)
    centre = a_centre(study, cover=0)
    settings.SECOND_FACTOR, settings.SIDE = "required", "unblinded"
    settings.ROOT_URLCONF = "trial.urls_unblinded"
    clear_url_caches()
    values: Values = {"pk": centre.pk, "code": study.code, "number": 1}
    with as_unblinded():
        people = {role: visitors.with_role(role, study, centre, "unblinded") for role in Role}
    wrong = not_as_required("unblinded", people, values)
    clear_url_caches()
    assert wrong == []


def test_a_role_that_is_let_through_is_found(
    portal: SimpleNamespace, settings: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SECOND_FACTOR = "required"
    monkeypatch.setattr("trial.second_factor.WITHOUT", WITHOUT | MAY[Role.SAFETY_PHYSICIAN])
    people = {Role.SAFETY_PHYSICIAN: portal.people[Role.SAFETY_PHYSICIAN]}
    assert len(not_as_required("blinded", people, portal.values)) == len(pages("blinded"))


def test_no_act_without_a_second_factor_is_signed_at_its_page(portal: SimpleNamespace) -> None:
    """The pages themselves say where a signature is asked, whatever `WITHOUT` holds."""
    signed: set[Act] = set()
    for each in pages("blinded"):
        act = DOORS["blinded"][each.key].act
        who = next((role for role in Role if act and may(role, act)), None)
        if act is None or who is None:
            continue
        address = address_of(each.key, each.parameters, portal.values)
        if b'name="signer"' in portal.people[who].browser.get(address).getvalue():
            signed.add(act)
    assert signed >= {Act.RANDOMIZE, Act.BREAK_CODE, Act.MANAGE_CENTRES, Act.RECORD_OPENING}
    assert not signed & WITHOUT
