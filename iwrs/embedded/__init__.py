"""PostgreSQL and Redis without installing a server: for the demo, the tests and small sites.

Only the supervisor starts them; every other process gets URLs in its environment.
`python -m iwrs.embedded --state DIR` runs them until Ctrl-C.
"""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from iwrs.embedded.postgres import Postgres
from iwrs.embedded.redis import Redis
from iwrs.embedded.state import EmbeddedError, Lock, load_secrets, prepare_directory
from iwrs.processes import ServiceUrls

__all__ = ["EmbeddedError", "Services", "start"]


class Services:
    """The running services of one state directory; `stop()` or `with` ends them."""

    def __init__(
        self,
        state_dir: Path,
        *,
        database: str = "iwrs",
        durable: bool = True,
        redis_port: int | None = None,
    ) -> None:
        self.state_dir = prepare_directory(state_dir)
        self.database = database
        self._lock = Lock(self.state_dir)
        self._lock.acquire()
        try:
            self.secrets: Mapping[str, str] = load_secrets(self.state_dir)
            self.postgres = Postgres(self.state_dir, self.secrets, durable=durable)
            self.redis = Redis(self.state_dir, self.secrets, port=redis_port)
            self.postgres.start()
            self.postgres.provision(database)
            self.redis.start()
        except BaseException:
            self.stop()
            raise

    @property
    def urls(self) -> ServiceUrls:
        """The URLs of the main database and of Redis, one for each login."""
        return ServiceUrls(
            owner=self.postgres.url("iwrs_owner", self.database),
            blinded=self.postgres.url("iwrs_blinded", self.database),
            unblinded=self.postgres.url("iwrs_unblinded", self.database),
            redis_blinded=self.redis.url("blinded"),
            redis_unblinded=self.redis.url("unblinded"),
        )

    @property
    def notes(self) -> list[str]:
        """What the person who started them should know."""
        if os.geteuid() != 0:
            return []
        return ["Started as root: PostgreSQL and Redis run as user pgserver instead."]

    def stop(self) -> None:
        """Stop Redis, then PostgreSQL, and free the state directory."""
        with ExitStack() as undo:  # one that cannot be stopped, or Ctrl-C, leaves no other
            undo.callback(self._lock.release)
            for name in ("postgres", "redis"):
                service = getattr(self, name, None)
                if service is not None:
                    undo.callback(service.stop)

    def __enter__(self) -> "Services":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def start(
    state_dir: Path,
    *,
    database: str = "iwrs",
    durable: bool = True,
    redis_port: int | None = None,
) -> Services:
    """Start PostgreSQL and Redis in `state_dir` and provision roles and database.

    `durable=False` is for tests: a crash of the machine may destroy the database. Raises
    `EmbeddedError` with what was wrong and what to do; then nothing is left running.
    """
    return Services(state_dir, database=database, durable=durable, redis_port=redis_port)
