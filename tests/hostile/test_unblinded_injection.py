"""The same on the unblinded site: every field of every form takes hostile texts as text."""

from collections.abc import Iterator
from datetime import date
from types import SimpleNamespace

import pytest
from django.urls import clear_url_caches, reverse
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from iwrs.accounts.models import Role, StudyRole, User
from iwrs.models import Study
from randomization.unblinded.extension import extend_list
from randomization.unblinded.models import RandomizationList, StratumCursor
from tests.factories import (
    STATISTICIANS,
    a_centre,
    a_holder,
    a_simulation,
    a_split,
    a_study,
    a_subject,
    a_user,
)
from tests.hostile.sending import (
    COPIES,
    UNREAD,
    check,
    check_addresses,
    check_days,
    check_searches,
)
from tests.hostile.texts import FEW, TEXTS, TYPED, WALKS, names_in_turn
from tests.hostile.walk import (
    Form,
    accepted,
    address_of,
    all_forms,
    opened,
    pages,
    signed_in,
    state_of_the_database,
)
from tests.roles import as_unblinded

pytestmark = [pytest.mark.django_db, pytest.mark.requirement("REQ-075")]


@pytest.fixture
def unblinded(db: None, settings: SimpleNamespace) -> Iterator[SimpleNamespace]:
    """Addresses of pages at objects that exist, and a browser for each role."""
    study = a_study(keys="forced_allocation = true")
    centre = a_centre(study)
    waits = a_subject(centre)
    planned, closed = a_study(status="draft", with_list=False), a_study(status="closed")
    settings.SIDE, settings.ROOT_URLCONF = "unblinded", "trial.urls_unblinded"
    clear_url_caches()
    with as_unblinded():
        roles = (Role.UNBLINDED_STATISTICIAN, Role.SUPPLY_MANAGER, Role.UNBLINDED_AUDITOR)
        people = [a_user(role, study=study) for role in roles]
        known = {"code": study.code, "who": "none", "token": "none", "pk": centre.pk}
        known["provider_id"] = "none"
        known["approve-list"] = RandomizationList.objects.get(study=study).pk
        known["release-allocation"] = StratumCursor.objects.filter(list__study=study)[0].pk
        known["end-holder"] = a_holder(study).pk
        known["extend-list"] = known["close-list"] = known["approve-list"]
        made = RandomizationList.objects.get(study=study)
        extension = extend_list(made, length=40, by=STATISTICIANS[0])
        known["approve-extension"] = known["withdraw-extension"] = extension.pk
        known["open-share"] = known["end-split-seed"] = a_split(study).pk
        known["number"] = a_simulation(study).number
        known["force-allocation"] = known["accept-paper"] = waits.pk
        addresses = [(page.name, address_of(page, known)) for page in pages()]
        addresses += _elsewhere(people, planned, closed)
        browsers = [signed_in(person) for person in people]
        yield SimpleNamespace(addresses=addresses, browsers=browsers)
    clear_url_caches()


def _elsewhere(people: list[User], planned: Study, closed: Study) -> list[tuple[str, str]]:
    """Addresses of pages whose act another study allows: one without a list, one closed."""
    for study in (planned, closed):
        for person in people:
            role = StudyRole.objects.filter(user=person)[0].role
            StudyRole.objects.create(
                user=person, study_code=study.code, role=role, since=date(2000, 1, 1)
            )
    made = RandomizationList.objects.get(study=closed)
    return [
        ("generate-list", reverse("generate-list", args=[planned.code])),
        ("commit-share", reverse("commit-share", args=[planned.code])),
        ("extend-list", reverse("extend-list", args=[closed.code, made.pk])),
        ("close-list", reverse("close-list", args=[closed.code, made.pk])),
    ]


@pytest.fixture
def forms(unblinded: SimpleNamespace) -> list[Form]:
    """Every form of the site, each with the browser of a person who may send it."""
    return all_forms(unblinded.addresses, unblinded.browsers)


@pytest.mark.parametrize("every", WALKS)
def test_hostile_texts_in_every_field_of_the_unblinded_site(forms: list[Form], every: bool) -> None:
    honest = {form.page for form in forms if accepted(form)}
    before, kept, turn, days = state_of_the_database(), 0, 0, 0
    for form in forms:
        for at in form.fields:
            turn += at.free
            for name in names_in_turn(turn, every) if at.free else FEW:
                if at.kind != "file":
                    kept += check(form, [at], TEXTS[name], before)
        days += check_days(form, before, turn, every=every)
    assert days >= 4
    assert {form.page for form in forms} >= {
        *("release-allocation", "register-key", "stock-centre"),
        *("review-access", "audit-review"),
    }
    assert kept > (40 if every else 20)
    assert len(honest) >= 15


@examples(
    max_examples=40,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # a text that does harm is short enough as it is
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(choose=st.data())
def test_any_text_in_any_field_of_the_unblinded_site(
    forms: list[Form], choose: st.DataObject
) -> None:
    before = state_of_the_database()
    typed = [(form, at) for form in forms for at in form.fields if at.kind != "file"]
    form, at = choose.draw(st.sampled_from(typed), label="form and field")
    check(form, [at], choose.draw(TYPED, label="text"), before)


@pytest.mark.parametrize("every", WALKS)
def test_hostile_texts_in_addresses_and_searches_of_the_unblinded_site(
    unblinded: SimpleNamespace, every: bool
) -> None:
    read = [each for each in unblinded.addresses if each[0] not in UNREAD]
    copies = {name: address for name, address in read if name in COPIES}
    shown = opened(read, unblinded.browsers)
    check_addresses(shown, every=every)
    searched = check_searches(shown, copies=copies, every=every)
    assert len(shown) >= 25
    assert searched >= {"subject", "by", "act", "what", "text", "since", "until"}
