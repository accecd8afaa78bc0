"""The one table of the processes that run, and the environment that each of them gets.

The supervisor starts them from here, and docker-compose.yml repeats the commands (a test keeps
both the same). A process gets its own side's database login, Redis user and secret key, and
nothing of the other side.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Side = Literal["blinded", "unblinded"]


@dataclass(frozen=True)
class ServiceUrls:
    """Where the database and Redis are, for each login."""

    owner: str
    blinded: str
    unblinded: str
    redis_blinded: str
    redis_unblinded: str


@dataclass(frozen=True)
class Process:
    """One long-running process. `{host}`, `{port}` and `{state}` in the command are filled in."""

    name: str
    side: Side
    command: tuple[str, ...]
    port: int | None = None


_WEB = (
    *("granian", "--interface", "wsgi", "--host", "{host}", "--port", "{port}"),
    *("--workers", "2", "--blocking-threads", "8", "--http", "1", "--no-ws"),
    *("--workers-kill-timeout", "10", "iwrs.wsgi:application"),
)
# No gossip, mingle or heartbeat: workers tell each other nothing through Redis.
_WORKER = (
    *("celery", "-A", "iwrs", "worker", "--without-gossip", "--without-mingle"),
    *("--without-heartbeat", "--loglevel", "INFO"),
)

PROCESSES = (
    Process("web", "blinded", _WEB, 8000),
    Process("web-unblinded", "unblinded", _WEB, 8001),
    Process(
        "worker",
        "blinded",
        (*_WORKER, "--queues", "blinded", "--concurrency", "2", "--hostname", "blinded@%h"),
    ),
    Process(
        "worker-unblinded",
        "unblinded",
        (*_WORKER, "--queues", "unblinded", "--concurrency", "1", "--hostname", "unblinded@%h"),
    ),
    Process(
        "beat",
        "blinded",
        ("celery", "-A", "iwrs", "beat", "--loglevel", "INFO", "--schedule", "{state}/beat"),
    ),
)

# Variables that carry a login or a key: they are set here and never handed down.
_CREDENTIAL = re.compile(r"(^|_)(DATABASE_URL|REDIS_URL|SECRET_KEY|PASSWORD|TOKEN)$|^PG[A-Z]+$")


def command_line(process: Process, *, state_dir: Path | str, host: str = "127.0.0.1") -> list[str]:
    """The command of a process, with its host, port and state directory filled in."""
    known = {"host": host, "port": process.port, "state": state_dir}
    return [part.format_map(known) for part in process.command]


def environment(
    process: Process, urls: ServiceUrls, secrets: Mapping[str, str], base: Mapping[str, str]
) -> dict[str, str]:
    """The environment of a process: `base` without any credential, and its own side's.

    `secrets` needs `secret_key_blinded` and `secret_key_unblinded`. Variables named
    `IWRS_BLINDED_*`, `IWRS_UNBLINDED_*` and `IWRS_OWNER_*` reach their own side only.
    """
    side = process.side
    own = {
        "IWRS_SIDE": side,
        "DATABASE_URL": urls.blinded if side == "blinded" else urls.unblinded,
        "REDIS_URL": urls.redis_blinded if side == "blinded" else urls.redis_unblinded,
        "IWRS_SECRET_KEY": secrets[f"secret_key_{side}"],
    }
    if process.port is not None:
        own["IWRS_POOL"] = "1"  # connections are pooled in web processes only
    return _without_credentials(base, side) | own


def owner_environment(
    urls: ServiceUrls, secrets: Mapping[str, str], base: Mapping[str, str]
) -> dict[str, str]:
    """The environment of `manage.py migrate`: the owner's login, and no Redis."""
    return _without_credentials(base, "owner") | {
        "IWRS_SIDE": "owner",
        "DATABASE_URL": urls.owner,
        "IWRS_SECRET_KEY": secrets["secret_key_owner"],
    }


def _without_credentials(base: Mapping[str, str], side: str) -> dict[str, str]:
    others = tuple(
        f"IWRS_{name.upper()}_" for name in ("owner", "blinded", "unblinded") if name != side
    )
    return {
        name: value
        for name, value in base.items()
        if not _CREDENTIAL.search(name) and not name.startswith(others) and name != "IWRS_POOL"
    }


def broker_transport_options(side: str) -> dict[str, Any]:
    """Celery's `broker_transport_options` for one side: keys that its Redis user may touch.

    Messages in progress are kept under the side's own names, so that the other side cannot see
    them; without priorities a queue is exactly one key. Times are in seconds.
    """
    return {
        "visibility_timeout": 3600,
        "socket_timeout": 5,
        "priority_steps": [0],
        "unacked_key": f"{side}:unacked",
        "unacked_index_key": f"{side}:unacked_index",
        "unacked_mutex_key": f"{side}:unacked_mutex",
    }
