"""Fixtures of every test. The services behind them are real: see `tests/bootstrap.py`."""

import os
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.contrib.auth.hashers import Argon2PasswordHasher
from django.db import connections
from playwright.sync_api import Browser, sync_playwright
from pytest_django import DjangoDbBlocker

from tests import bootstrap
from tests.roles import Logins, empty_everything

# Playwright's loop runs in the test's thread; Django's checks for async code would misread it.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

# Looked up when asked for. Each test client builds the site anew, and would list every static file.
settings.WHITENOISE_AUTOREFRESH = True

# Argon2 as in production, but cheap in this process: a quarter of a second for each of a thousand
# people would be most of a run. Server processes of the tests hash at the full cost.
Argon2PasswordHasher.time_cost = 1
Argon2PasswordHasher.memory_cost = 1024  # KiB
Argon2PasswordHasher.parallelism = 1


# Two processes take one file after another (`make test`). The longest come first: begun last, one
# would keep a process busy while the other has nothing left.
FIRST = (
    *("trial/test_demo", "audit/test_seal", "authority/test_permission_walk"),
    *("blinding/test_planted_leaks", "blinding/test_everything_received"),
    *("hostile/test_portal_injection", "hostile/test_api_injection", "trial/test_nature"),
    *("browser/test_portal", "browser/test_sign_in", "randomization/test_verify"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files of `FIRST` first, in this order."""
    place = {f"tests/{name}.py": number for number, name in enumerate(FIRST)}
    items.sort(key=lambda item: place.get(item.nodeid.split("::")[0], len(FIRST)))


@pytest.fixture(scope="session")
def django_db_setup() -> None:
    """The database is this process's copy of the template; nothing is left to do."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, for one file of tests.

    While Playwright's loop runs, Django has another set of connections for this thread. Those are
    closed with it: nobody would find them afterwards, and a database in use is not copied.
    """
    where = os.environ.get("IWRS_CHROMIUM", "/usr/bin/chromium")
    connections.close_all()
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=where, args=["--no-sandbox"])
        yield browser
        browser.close()
        connections.close_all()


@pytest.fixture
def committed_db(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Real commits under the blinded role; every table is emptied afterwards."""
    with django_db_blocker.unblock():
        yield
        connections.close_all()
        empty_everything()


@pytest.fixture
def logins() -> Iterator[Logins]:
    """psycopg connections with the real logins `iwrs_blinded`, `iwrs_unblinded`, `iwrs_owner`."""
    made = Logins()
    yield made
    made.close()


@pytest.fixture
def redis_urls() -> SimpleNamespace:
    """The Redis URLs of both sides."""
    return SimpleNamespace(
        blinded=bootstrap.url("redis_blinded"), unblinded=bootstrap.url("redis_unblinded")
    )
