"""Start real services once per test run, before Django reads its settings.

Every process that runs tests has a PostgreSQL and a Redis of its own, in a new directory, with one
migrated database; the first process starts them all and ends them. Beside another process's tests
on one server, two plays of one tape would differ: when a page is tidied, which page a session
fills next, and when a batch can be sealed depend on every transaction and database of a server.
"""

import atexit
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from iwrs import provision
from iwrs.embedded import Services, start
from iwrs.embedded.account import service_account
from tests import template

ROOT = Path(__file__).resolve().parent.parent
DATABASE = "iwrs_test"
_services: list[Services] = []  # which this process started
_urls: dict[str, str] = {}


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "iwrs.settings"
    if "IWRS_TEST_SERVICES" not in os.environ:
        _end_when_asked_to()
        early_config.add_cleanup(_end_all)  # also when the run ends before it began
        os.environ["IWRS_TEST_SERVICES"] = json.dumps(_start_all(_processes(early_config)))
    made = json.loads(os.environ["IWRS_TEST_SERVICES"])
    _urls.update(made[int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))])
    os.environ.update(
        DATABASE_URL=url("test") + "&options=-c%20role%3Diwrs_blinded",
        IWRS_SIDE="blinded",
        IWRS_SECRET_KEY="only-for-tests-0123456789-0123456789-0123456789",
        IWRS_INSECURE_HTTP="1",
        IWRS_SECOND_FACTOR="optional",  # tests of second factors ask for them
        IWRS_EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend",
        REDIS_URL=url("redis_blinded"),
    )


def url(who: str) -> str:
    """A URL of this process's services.

    Of its database for `owner`, `blinded`, `unblinded`, `test` and `superuser`; for `server`, of
    another database of the superuser, from which to make and drop databases; and of Redis for
    `redis_blinded` and `redis_unblinded`.
    """
    return _urls[who]


def keep_template() -> None:
    """Migrate an empty database and keep its dump, unless one that fits this checkout is kept."""
    if not template.is_kept():
        made = _new()
        try:
            template.keep(made.postgres.url("postgres", DATABASE), lambda: _migrate(made))
        finally:
            _end(made)


def _processes(config: pytest.Config) -> int:
    """How many processes will run tests: those that `-n` asks for, or this one alone."""
    asked = getattr(config.known_args_namespace, "numprocesses", None) or 1
    return asked if isinstance(asked, int) else os.cpu_count() or 1


def _end_when_asked_to() -> None:
    """Let `kill` and a closed terminal end a run as Ctrl-C does, which leaves no server behind."""
    for asked in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(asked) is signal.SIG_DFL:  # `nohup` has asked for SIGHUP to be ignored
            signal.signal(asked, signal.default_int_handler)
    atexit.register(_end_all)  # what a second Ctrl-C left to threads that were still starting it


def _start_all(number: int) -> list[dict[str, str]]:
    keep_template()
    service_account()  # made before two threads find it missing
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(lambda _: _start(), range(number)))


def _end_all() -> None:
    with ExitStack() as undo:  # one that cannot be ended leaves no other
        while _services:
            undo.callback(_end, _services.pop())


def _start() -> dict[str, str]:
    made = _new()
    _services.append(made)
    template.fill(made.postgres.url("postgres", DATABASE))
    password = secrets.token_urlsafe(24)
    made.postgres.provision_test_login(password)
    urls = made.urls
    blinded = urls.blinded.split("@")[0]
    return {
        "server": made.postgres.url("postgres", "postgres"),
        "superuser": made.postgres.url("postgres", DATABASE),
        "owner": urls.owner,
        "blinded": urls.blinded,
        "unblinded": urls.unblinded,
        "test": urls.blinded.replace(blinded, f"postgresql://{provision.TEST_LOGIN}:{password}"),
        "redis_blinded": urls.redis_blinded,
        "redis_unblinded": urls.redis_unblinded,
    }


def _new() -> Services:
    place = Path(tempfile.mkdtemp(prefix="iwrs-test-"))
    try:
        return start(place, database=DATABASE, durable=False)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def _end(made: Services) -> None:
    try:
        made.stop()
    finally:
        shutil.rmtree(made.state_dir, ignore_errors=True)


def _migrate(made: Services) -> None:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "iwrs.settings",
        "IWRS_SIDE": "owner",
        "DATABASE_URL": made.urls.owner,
        "IWRS_SECRET_KEY": secrets.token_urlsafe(48),
    }
    command = [sys.executable, "manage.py", "migrate_both_sides", "-v0"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)


if __name__ == "__main__":  # `make test` has the template made while it looks at style and types
    keep_template()
