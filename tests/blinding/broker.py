"""A Redis of a test's own, so that nobody else's wake-ups are in it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from iwrs.celery import app
from iwrs.embedded.redis import Redis
from iwrs.embedded.state import load_secrets, prepare_directory


@pytest.fixture(scope="module")
def broker() -> Iterator[Redis]:
    with (
        tempfile.TemporaryDirectory(prefix="iwrs-redis-") as folder,
        pytest.MonkeyPatch.context() as m,
    ):
        state = prepare_directory(Path(folder))
        server = Redis(state, load_secrets(state))
        server.start()
        connect = app.connection_for_write
        m.setattr(
            app, "connection_for_write", lambda **more: connect(server.url("blinded"), **more)
        )
        m.setattr(app.amqp, "_producer_pool", None)
        yield server
        server.stop()


def emptied(server: Redis) -> None:
    """Forget the wake-ups of the play before."""
    with redis.Redis.from_url(server.url("blinded")) as client:
        client.delete("blinded", "unblinded")
