"""A time by the clock of a centre is one moment, but for one hour of the year."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iwrs.clock import moments_of
from trial.nature.centres import COUNTRIES

pytestmark = pytest.mark.requirement("REQ-033")
ZONES = sorted({name for *_, names in COUNTRIES for name in names} | {"Australia/Lord_Howe"})


@pytest.mark.parametrize(
    ("wall", "zone", "hours"),
    [
        ("2009-10-25T01:59", "Europe/Paris", ["2009-10-24T23:59"]),
        ("2009-10-25T02:00", "Europe/Paris", ["2009-10-25T00:00", "2009-10-25T01:00"]),
        ("2009-10-25T03:00", "Europe/Paris", ["2009-10-25T02:00"]),
        ("2010-03-28T02:30", "Europe/Paris", []),
        ("2010-03-28T03:00", "Europe/Paris", ["2010-03-28T01:00"]),
        ("2009-10-25T02:30", "Asia/Tokyo", ["2009-10-24T17:30"]),
        ("2010-04-04T01:45", "Australia/Lord_Howe", ["2010-04-03T14:45", "2010-04-03T15:15"]),
    ],
)
def test_the_moments_of_a_time_on_the_wall(wall: str, zone: str, hours: list[str]) -> None:
    expected = [datetime.fromisoformat(each).replace(tzinfo=UTC) for each in hours]
    assert moments_of(datetime.fromisoformat(wall), zone) == expected


@given(st.integers(1_230_768_000, 1_893_456_000), st.sampled_from(ZONES))  # 2009 to 2029
@settings(deadline=None)
def test_every_moment_is_found_from_its_time_on_the_wall(seconds: int, zone: str) -> None:
    moment = datetime.fromtimestamp(seconds, UTC)
    wall = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)
    assert moment in moments_of(wall, zone)
