"""The comparison catches what it is for: each planted leak, whatever the channel, is seen."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import time_machine
from pytest_django import DjangoDbBlocker

from iwrs.accounts.models import Role
from iwrs.embedded.redis import Redis
from iwrs.models import Study
from tests.blinding import coupled, leaks, leaks_of_acts, received, short, stage, twins
from tests.blinding.broker import broker, emptied
from tests.roles import empty_everything

__all__ = ["broker"]
pytestmark = pytest.mark.requirement("REQ-043")


@pytest.fixture(scope="module")
def cast(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[stage.Cast]:
    with django_db_blocker.unblock():
        yield stage.a_cast(short.SIZE)
        empty_everything()


@pytest.fixture(scope="module")
def made(cast: stage.Cast, broker: Redis) -> Iterator[twins.Twins]:
    """Two databases after an honest short play."""
    with twins.twins(lambda database: short.play(cast), suffix="_looked_at") as pair:
        yield pair


def looked_at(cast: stage.Cast, made: twins.Twins, plant: twins.Plant) -> dict[str, Any]:
    """What differs between the pages, API answers and log lines of both databases."""
    now = datetime.now(UTC)
    readers = [cast.person(Role.INVESTIGATOR), None]

    def look(database: str) -> dict[str, Any]:
        study = Study.objects.get(pk=cast.study.pk)
        with time_machine.travel(now, tick=False), received.logged() as log:
            pages = received.pages(study, readers, (), 14, lambda person: person is None)
            seen = {name: reader.received for name, reader in pages.items()}
            api = received.api(study, cast.edc, subjects=4)
        return {"pages": seen, "api": api, "log": log.lines}

    return coupled.differences(*made.both(look, plant))


def played(cast: stage.Cast, broker: Redis, plant: twins.Plant) -> dict[str, Any]:
    """What differs between two short plays."""

    def play(database: str) -> dict[str, Any]:
        emptied(broker)
        seen = short.play(cast)
        seen |= {"rows": twins.public_rows(database), "sizes": twins.sizes(database)}
        return seen | {"redis": received.in_redis(broker.url("blinded"))}

    with twins.twins(play, plant=plant) as pair:
        return coupled.differences(*pair.plays)


def test_without_a_leak_pages_and_answers_are_the_same(cast: stage.Cast, made: twins.Twins) -> None:
    assert twins.differing(made) == made.turned
    assert len(made.turned) > 4
    assert looked_at(cast, made, twins.nothing) == {}


def test_without_a_leak_a_short_play_leaves_the_same(cast: stage.Cast, broker: Redis) -> None:
    assert played(cast, broker, twins.nothing) == {}


@pytest.mark.parametrize("name", leaks.LOOKING)
def test_a_leak_of_a_page_is_caught(cast: stage.Cast, made: twins.Twins, name: str) -> None:
    assert looked_at(cast, made, leaks.LOOKING[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", leaks_of_acts.PLAYING)
def test_a_leak_of_an_act_is_caught(cast: stage.Cast, broker: Redis, name: str) -> None:
    assert played(cast, broker, leaks_of_acts.PLAYING[name])


def test_there_are_leaks_of_twenty_kinds() -> None:
    assert len(leaks.LOOKING) + len(leaks_of_acts.PLAYING) >= 20
