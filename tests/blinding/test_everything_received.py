"""Non-interference of everything that a blinded person, mailbox, system or log receives.

One tape is played under two lists (see `twins`). Rows, sizes, answers, pages with their headers,
lengths and queries, API answers, forms, letters, log lines and what lies in Redis must be equal,
byte for byte, but for the allowlist of `allowed`.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine

from iwrs.accounts.models import Role, User
from iwrs.embedded.redis import Redis
from tests.blinding import coupled, received, stage, twins
from tests.blinding.broker import broker, emptied

__all__ = ["broker"]

# How many pages each person reads by links, and how many forms of each kind each person sends.
QUICK = {"limit": 30, "forms": received.FORMS}  # in `make test`
LONG = {"limit": 200, "forms": 6}  # in `make prove`
pytestmark = pytest.mark.requirement("REQ-043", "REQ-054", "REQ-055", "REQ-056")


def played_and_looked_at(
    cast: stage.Cast, broker: Redis, most: dict[str, int]
) -> Callable[[str], dict[str, Any]]:
    """Play the tape in a database; what was received of it.

    The real clock stands still meanwhile, at the same moment in both plays: a session is written
    once a minute, and a minute may end in one play between two pages and not in the other.
    """
    look = twins.shown(cast, readers_of(cast), everywhere=everywhere, **most)
    now = datetime.now(UTC)

    def play(database: str) -> dict[str, Any]:
        with time_machine.travel(now, tick=False):
            return play_now(database)

    def play_now(database: str) -> dict[str, Any]:
        with received.logged() as log:
            played = stage.play(cast, log)
        seen = {
            "answers": played.answers,
            "log of the play": log.lines,
            "letters": stage.letters(),
            "redis": received.in_redis(broker.url("blinded")),
            "rows": twins.public_rows(database),
            "sizes": twins.sizes(database),
        }
        emptied(broker)
        return seen | look(database) | {"door": played.door}

    return play


def readers_of(cast: stage.Cast) -> list[User | None]:
    """One person of each role, and a stranger."""
    roles: dict[str, User] = {}
    for person in cast.people:
        roles.setdefault(re.sub(r"\d+@.*", "", person.email), person)
    return [*roles.values(), None]


def everywhere(person: User | None) -> bool:
    """One person of a site and one of the study try every address, and so does a stranger."""
    return person is None or person.email.startswith((Role.INVESTIGATOR, Role.STUDY_MANAGER))


@pytest.mark.usefixtures("committed_db")
def test_everything_received_is_the_same_under_two_lists(broker: Redis) -> None:
    compare(stage.a_cast(), broker, QUICK)


@pytest.mark.slow
@pytest.mark.usefixtures("committed_db")
@pytest.mark.parametrize("seed", [11, 12, 13])
def test_a_whole_trial_is_the_same_under_two_lists(broker: Redis, seed: int) -> None:
    """As many subjects as BOLERO-2 has. Each time other lives, another list and other kits."""
    size = stage.Size(subjects=724, centres=40, kits=18_000, nature=seed)
    compare(stage.a_cast(size), broker, LONG)


def compare(cast: stage.Cast, broker: Redis, most: dict[str, int]) -> None:
    """Play the tape under two lists and compare everything that was received."""
    with twins.twins(played_and_looked_at(cast, broker, most)) as made:
        one, other = made.plays
        assert twins.differing(made) == made.turned
    doors = one.pop("door"), other.pop("door")
    _was_worth_looking_at(one, cast)
    found = coupled.differences(one, other)
    assert found == {}, f"{len(found)} differences, among them {list(found.items())[:3]}"
    # The one door: the first code broken is of a turned subject, the second is not.
    assert doors[0][0] != doors[1][0]


def _was_worth_looking_at(seen: dict[str, Any], cast: stage.Cast) -> None:
    """The capture saw a trial, refusals included, and not two empty databases."""
    pages = [page for answers in seen["pages"].values() for page in answers.values()]
    assert sum(page["status"] == 200 for page in pages) > 150
    assert len(seen["letters"]) > cast.size.subjects // 3
    statuses = [answer[0] for answer in seen["answers"].values() if isinstance(answer[0], int)]
    assert {201, 409} <= set(statuses)
    assert len(seen["log"]) > 300
