"""Text that people typed does not run in a spreadsheet, and everything else stays as it is."""

import pytest

from iwrs.spreadsheet import harmless

pytestmark = pytest.mark.requirement("REQ-075")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\n=1"])
def test_what_would_run_is_text(text: str) -> None:
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "0101-003", "a=b", "'=1", "3 + 4", "<b>", "\u202e"])
def test_other_text_stays(text: str) -> None:
    assert harmless(text) == text


def test_numbers_and_nothing() -> None:
    assert [harmless(each) for each in (-1, 2.5, None, True)] == ["-1", "2.5", "", "True"]
