"""Settings of production: Django's own deployment check is clean, for each side (ASVS V13)."""

import os
import secrets
import subprocess
import sys

import pytest
from django.conf import settings

from tests.validation.requirements import ROOT

pytestmark = pytest.mark.requirement("REQ-077")


def deploy_check(side: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        | {
            "IWRS_SIDE": side,
            "IWRS_SECRET_KEY": secrets.token_urlsafe(48),
            "DATABASE_URL": "postgresql://nobody@/none",
        }
        | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("side", ["blinded", "unblinded", "owner"])
def test_the_deployment_check_is_clean(side: str) -> None:
    done = deploy_check(side)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout + done.stderr


def test_the_deployment_check_would_find_something() -> None:
    done = deploy_check("blinded", IWRS_INSECURE_HTTP="1", IWRS_SECRET_KEY="short")
    assert done.returncode != 0
    assert "security.W009" in done.stderr
    assert "security.W008" in done.stderr


def test_no_check_is_silenced() -> None:
    assert settings.SILENCED_SYSTEM_CHECKS == []
