"""Whatever is typed into any field of any form is refused in words, or kept and shown escaped."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from django.db import connections
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pytest_django import DjangoDbBlocker

from tests.hostile.conftest import a_whole_site, addresses_of, forms_of
from tests.hostile.sending import (
    COPIES,
    UNREAD,
    check,
    check_addresses,
    check_days,
    check_search,
    check_searches,
)
from tests.hostile.texts import FEW, TEXTS, TYPED, WALKS, names_in_turn
from tests.hostile.walk import Form, accepted, opened, signed_in, state_of_the_database, undone

pytestmark = pytest.mark.requirement("REQ-075")


@pytest.fixture(scope="module")
def shared(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[SimpleNamespace]:
    """Pages and forms of one site for all tests here: to find every form takes long."""
    with django_db_blocker.unblock():
        with undone():
            site = a_whole_site()
            found = addresses_of(site)
            browsers = [signed_in(person) for person in site.people]
            pages = opened([each for each in found if each[0] not in UNREAD], browsers)
            copies = {name: address for name, address in found if name in COPIES}
            forms = forms_of(site, found)
            yield SimpleNamespace(pages=pages, forms=forms, copies=copies)
        connections.close_all()


@pytest.fixture(autouse=True)
def taken_back(shared: SimpleNamespace) -> Iterator[None]:
    """What a test did is gone before the next one begins."""
    with undone():
        yield


@pytest.fixture
def forms(shared: SimpleNamespace) -> list[Form]:
    """Every form of the portal, each with the browser of a person who may send it."""
    return list(shared.forms)


@pytest.fixture
def unchanged(forms: list[Form]) -> str:
    """The state of the database when nothing was typed."""
    return state_of_the_database()


@pytest.mark.parametrize("every", WALKS)
def test_hostile_texts_in_every_field_of_every_form(
    forms: list[Form], unchanged: str, every: bool
) -> None:
    honest = {form.page for form in forms if accepted(form)}
    # The walk means little where an honest person would be refused too.
    assert honest >= {"screen-failure", "suspend-centre", "event", "miss-visit", "end-centre-role"}
    assert len({form.page for form in forms}) >= 20
    kept = tried = turn = days = 0
    for form in forms:
        for at in (each for each in form.fields if each.free):
            turn += 1
            for name in names_in_turn(turn, every):
                kept += check(form, [at], TEXTS[name], unchanged)
                tried += 1
        closed = [each for each in form.fields if not each.free and each.kind != "file"]
        for name in FEW if closed else ():
            kept += check(form, closed, TEXTS[name], unchanged)
        days += check_days(form, unchanged, turn, every=every)
    assert days >= 40
    assert tried > (120 if every else 30)
    assert kept > (
        50 if every else 12
    )  # else honest values were refused, and no text was ever looked at
    assert state_of_the_database() == unchanged


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # a text that does harm is short enough as it is
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(choose=st.data())
def test_any_text_in_any_field(forms: list[Form], unchanged: str, choose: st.DataObject) -> None:
    form = choose.draw(st.sampled_from([each for each in forms if each.fields]), label="form")
    at = choose.draw(st.sampled_from([f for f in form.fields if f.kind != "file"]), label="field")
    text = choose.draw(TYPED, label="text")
    check(form, [at], text, unchanged)


@pytest.mark.parametrize("every", WALKS)
def test_hostile_texts_in_addresses_and_searches(shared: SimpleNamespace, every: bool) -> None:
    check_addresses(shared.pages, every=every)
    assert len(shared.pages) >= 40


@pytest.mark.parametrize("every", WALKS)
def test_hostile_texts_in_every_search(shared: SimpleNamespace, every: bool) -> None:
    searched = check_searches(shared.pages, copies=shared.copies, every=every)
    assert {"audit", "subject-audit", "subjects", "centres"} <= {
        form.page for page in shared.pages for form in page.searches
    }
    assert searched >= {"q", "status", "centre", "subject", "by", "act", "what", "text"}
    assert searched >= {"since", "until"}


@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(choose=st.data())
def test_any_text_in_any_search(shared: SimpleNamespace, choose: st.DataObject) -> None:
    searches = [form for page in shared.pages for form in page.searches]
    form = choose.draw(st.sampled_from(searches), label="form")
    at = choose.draw(st.sampled_from([each.name for each in form.fields]), label="field")
    check_search(form, at, choose.draw(TYPED, label="text"))
