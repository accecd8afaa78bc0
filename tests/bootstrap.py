"""Start real services once per test run, before Django reads its settings.

The first process starts PostgreSQL and Redis in a new directory and migrates one template
database; every xdist worker (and the first process, for runs without workers) clones it. Roles
belong to the whole cluster, so only the first process makes them.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from iwrs import provision
from iwrs.embedded import Services, start
from tests import template

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = "iwrs_template"
_services: Services | None = None


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "iwrs.settings"
    if "IWRS_TEST_SERVICES" not in os.environ:
        _start_services()
    _clone_template()


def pytest_unconfigure() -> None:
    global _services
    if _services is not None:
        _services.stop()
        shutil.rmtree(_services.state_dir, ignore_errors=True)
        _services = None
        os.environ.pop("IWRS_TEST_SERVICES", None)


def _start_services() -> None:
    global _services
    state = Path(tempfile.mkdtemp(prefix="iwrs-test-"))
    _services = start(state, database=TEMPLATE, durable=False)
    password = secrets.token_urlsafe(24)
    _services.postgres.provision_test_login(password)
    urls = _services.urls
    environment = {
        **os.environ,
        "IWRS_SIDE": "owner",
        "DATABASE_URL": urls.owner,
        "IWRS_SECRET_KEY": secrets.token_urlsafe(48),
    }
    command = [sys.executable, "manage.py", "migrate_both_sides", "-v0"]
    template.fill(
        _services.postgres.url("postgres", TEMPLATE),
        lambda: subprocess.run(command, cwd=ROOT, env=environment, check=True),
    )
    os.environ["IWRS_TEST_SERVICES"] = json.dumps(
        {
            "superuser": _services.postgres.url("postgres", "postgres"),
            "owner": urls.owner,
            "blinded": urls.blinded,
            "unblinded": urls.unblinded,
            "test": urls.blinded.replace(
                urls.blinded.split("@")[0], f"postgresql://{provision.TEST_LOGIN}:{password}"
            ),
            "redis_blinded": urls.redis_blinded,
            "redis_unblinded": urls.redis_unblinded,
        }
    )


def services() -> dict[str, str]:
    """The URLs of this run; those of databases still name the template."""
    return dict(json.loads(os.environ["IWRS_TEST_SERVICES"]))


def database_name() -> str:
    """The clone of this process."""
    return f"iwrs_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"


def database_url(who: str) -> str:
    """The URL of this process's clone for `owner`, `blinded`, `unblinded` or `test`."""
    return services()[who].replace(f"/{TEMPLATE}?", f"/{database_name()}?")


def _clone_template() -> None:
    with psycopg.connect(services()["superuser"], autocommit=True) as server:
        server.execute(
            psycopg.sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(
                psycopg.sql.Identifier(database_name())
            )
        )
        provision.create_database(server, database_name(), TEMPLATE)
        provision.close_to_public(server, database_name())
    os.environ.update(
        DATABASE_URL=database_url("test") + "&options=-c%20role%3Diwrs_blinded",
        IWRS_SIDE="blinded",
        IWRS_SECRET_KEY="only-for-tests-0123456789-0123456789-0123456789",
        IWRS_INSECURE_HTTP="1",
        IWRS_SECOND_FACTOR="optional",  # tests of second factors ask for them
        IWRS_EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend",
        REDIS_URL=services()["redis_blinded"],
    )


if __name__ == "__main__":  # `make test` has the template made while it looks at style and types
    if not template.is_kept():
        try:
            _start_services()
        finally:
            pytest_unconfigure()
