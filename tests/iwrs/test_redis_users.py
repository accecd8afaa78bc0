"""The two Redis users: each side's keys, and the wake-up that passes between them."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from kombu import Connection
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError
from redis.retry import Retry

from iwrs.embedded import Services, start
from iwrs.processes import broker_transport_options


@pytest.fixture(scope="module")
def services() -> Iterator[Services]:
    folder = Path(tempfile.mkdtemp(prefix="iwrs-test-"))
    with start(folder, durable=False) as running:
        yield running
    shutil.rmtree(folder)


def test_redis_refuses_strangers(services: Services) -> None:
    port = services.redis.port
    for url in (f"redis://127.0.0.1:{port}/0", f"redis://blinded:wrong@127.0.0.1:{port}/0"):
        with (
            redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0)) as client,
            pytest.raises(AuthenticationError),
        ):
            client.ping()


@pytest.mark.parametrize(
    ("side", "allowed", "refused"),
    [
        ("blinded", ["blinded", "blinded:unacked", "unblinded"], ["unblinded:unacked", "other"]),
        ("unblinded", ["unblinded", "unblinded:unacked"], ["blinded", "blinded:unacked"]),
    ],
)
def test_redis_users_touch_their_own_keys(
    services: Services, side: str, allowed: list[str], refused: list[str]
) -> None:
    with redis.Redis.from_url(getattr(services.urls, f"redis_{side}")) as client:
        for key in allowed:
            assert client.exists(key) == 0
        for key in refused:
            with pytest.raises(NoPermissionError):
                client.exists(key)
            with pytest.raises(NoPermissionError):
                client.eval("return redis.call('GET', KEYS[1])", 1, key)
        for command in (["CONFIG", "GET", "*"], ["ACL", "LIST"], ["KEYS", "*"], ["FLUSHALL"]):
            with pytest.raises(NoPermissionError):
                client.execute_command(*command)
        with pytest.raises(NoPermissionError):
            client.publish("other", "text")


def test_a_wake_up_passes_and_is_hidden_while_in_progress(services: Services) -> None:
    def broker(side: str) -> Connection:
        url = getattr(services.urls, f"redis_{side}")
        return Connection(url, transport_options=broker_transport_options(side))

    with broker("blinded") as sender, broker("unblinded") as receiver:
        sender.SimpleQueue("unblinded").put({"pk": 5})
        message = receiver.SimpleQueue("unblinded").get(timeout=5)
        assert message.payload == {"pk": 5}
        with redis.Redis.from_url(services.urls.redis_unblinded) as client:
            assert client.hlen("unblinded:unacked") == 1
        with redis.Redis.from_url(services.urls.redis_blinded) as client:
            assert client.llen("unblinded") == 0
            with pytest.raises(NoPermissionError):
                client.hgetall("unblinded:unacked")
        message.ack()
