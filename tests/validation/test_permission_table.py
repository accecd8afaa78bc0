"""Every address has its row, and docs/permissions.md shows the tables as they are in code."""

from pathlib import Path

import pytest

from iwrs.accounts.models import UNBLINDED_ROLES, Role
from iwrs.api.permissions import required_scope
from trial import doors
from trial.permissions_page import permissions_page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "permissions.md"
pytestmark = pytest.mark.requirement("REQ-012")


@pytest.mark.parametrize("side", ["blinded", "unblinded"])
def test_every_address_has_a_row_and_every_row_an_address(side: str) -> None:
    assert not doors.without_row(side), "\n".join(doors.without_row(side))
    assert len(doors.addresses(side)) > 15


def test_an_address_without_a_row_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {key: door for key, door in doors.DOORS["blinded"].items() if key != "screen"}
    monkeypatch.setitem(doors.DOORS, "blinded", rows | {"gone": doors.OPEN})
    fewer = {key: s for key, s in doors.OPERATIONS.items() if key != "GET api/v1/centres"}
    monkeypatch.setattr(doors, "OPERATIONS", fewer)
    told = "\n".join(doors.without_row("blinded"))
    assert "/centres/<int:pk>/screen/ ('screen') has no row. Add" in told
    assert "trial/doors.py line " in told
    assert "'gone'" in told
    assert "'GET api/v1/centres' has no row" in told


@pytest.mark.parametrize("side", ["blinded", "unblinded"])
def test_a_row_says_the_act_of_its_view_and_an_operation_its_scope(side: str) -> None:
    compared = 0
    for each in doors.addresses(side):
        for method in each.methods:
            asked = required_scope(each.view, method)
            assert asked == doors.OPERATIONS[f"{method} {each.route}"], each.route
        act = getattr(each.view, "act", None)
        if act is not None:
            assert doors.DOORS[side][each.key].act == act, each.key
            compared += 1
    assert compared > 5


@pytest.mark.parametrize("side", ["blinded", "unblinded"])
def test_every_page_about_something_lets_somebody_in(side: str) -> None:
    for key, door in doors.DOORS[side].items():
        roles = [role for role in Role if (role in UNBLINDED_ROLES) == (side == "unblinded")]
        answers = {door.answer(r, in_study=doors.held_in_study(r, side)) for r in roles}
        assert doors.Answer.IN in answers, key


def test_the_page_is_as_the_code() -> None:
    told = "Run `manage.py permissions > docs/permissions.md`."
    assert PAGE.read_text(encoding="utf-8") == permissions_page(), told
