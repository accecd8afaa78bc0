"""Whatever is typed into any field of any form is refused in words, or kept and shown escaped."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from django.db import connections
from django.http import HttpResponse
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pytest_django import DjangoDbBlocker

from tests.hostile.conftest import a_whole_site, addresses_of, forms_of
from tests.hostile.texts import FEW, SEARCHED, TEXTS, TYPED, WALKS, names_in_turn
from tests.hostile.walk import Field, Form, accepted, state_of_the_database, stored, undone

pytestmark = pytest.mark.requirement("REQ-075")


@pytest.fixture(scope="module")
def shared(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[SimpleNamespace]:
    """Addresses and forms of one site for all tests here: to find every form takes long."""
    with django_db_blocker.unblock():
        with undone():
            site = a_whole_site()
            found = addresses_of(site)
            yield SimpleNamespace(addresses=found, forms=forms_of(site, found))
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


REFUSALS = {400, 403, 404, 409, 410, 413, 422, 429}


def check(form: Form, fields: list[Field], text: str, before: str) -> bool:
    """Send `text` in these fields. True when the act was done; then a free text is kept."""
    where = f"{form.page} {[each.name for each in fields]} {text[:60]!r}"
    with undone():
        answer = form.post(form.typed(**{each.name: text for each in fields}))
        assert answer.status_code in {302} | REFUSALS, f"{where}: {answer.status_code}"
        shown = [answer]
        if answer.status_code == 302:
            assert "\n" not in answer.headers["Location"], where
            shown.append(form.open(answer.headers["Location"]))
        else:
            assert state_of_the_database() == before, f"{where}: refused, but something changed"
        for page in shown:
            assert_escaped(page, text, where)
        done = answer.status_code == 302
        if done and all(each.free for each in fields):
            kept = text.strip().replace("\r\n", "\n")
            assert stored(kept) or stored(text.strip()) or stored(kept.lower()), where
    return done


def assert_escaped(page: HttpResponse, text: str, where: str) -> None:
    """Neither markup nor a template of `text` comes to life in the page."""
    assert page.status_code < 500, where
    if "attachment" in page.headers.get("Content-Disposition", ""):
        return  # a file for another program, which no browser shows as a page
    content = page.content.decode()
    for live in ("<script>alert", "<img src=x", '" autofocus onfocus', "</textarea></title>"):
        assert live not in content, where
    if "7*7" in text:
        assert "49{" not in content, where
    assert "Set-Cookie: iwrs_blinded_session=x" not in str(page.headers), where


@pytest.mark.parametrize("every", WALKS)
def test_hostile_texts_in_every_field_of_every_form(
    forms: list[Form], unchanged: str, every: bool
) -> None:
    honest = {form.page for form in forms if accepted(form)}
    # The walk means little where an honest person would be refused too.
    assert honest >= {"screen-failure", "suspend-centre", "event", "miss-visit", "end-centre-role"}
    assert len({form.page for form in forms}) >= 20
    kept = tried = turn = 0
    for form in forms:
        for at in (each for each in form.fields if each.free):
            turn += 1
            for name in names_in_turn(turn, every):
                kept += check(form, [at], TEXTS[name], unchanged)
                tried += 1
        closed = [each for each in form.fields if not each.free and each.kind != "file"]
        for name in FEW if closed else ():
            kept += check(form, closed, TEXTS[name], unchanged)
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


def test_hostile_texts_in_addresses_and_searches(
    shared: SimpleNamespace, forms: list[Form]
) -> None:
    """Search words, page numbers and onward addresses are typed by people too."""
    browser = forms[-1]
    for name, address in shared.addresses:
        if name in {"sign-out", "download-extract", "emergency-procedure"}:
            continue
        for kind in SEARCHED:
            text = TEXTS[kind]
            asked = dict.fromkeys(("q", "page", "status", "centre", "next", "again"), text)
            answer = forms_client(browser).get(address, asked)
            assert answer.status_code < 500, f"{name} {kind}"
            assert_escaped(answer, text, f"{name} {kind}")


def forms_client(form: Form) -> "object":
    return form.open.__self__  # type: ignore[attr-defined]
