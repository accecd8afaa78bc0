"""On a real server with the blinded login: requests at once, and the commands of docs/api.md."""

import json
import os
import re
import subprocess
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from dispensing.models import Kit
from iwrs.models import IdempotencyRecord
from randomization.models import Randomization
from tests import factories
from tests.api.client import ALL_SCOPES, SECRET, Edc, register
from tests.api.server import ROOT, running
from tests.roles import Logins

RUN = re.compile(r"^```bash run\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TOGETHER = 6


@pytest.fixture
def server(committed_db: None, logins: Logins, tmp_path: Path) -> Iterator[str]:
    with running(logins.url("blinded"), tmp_path / "server.log") as address:
        yield address


def send(url: str, token: str, key: str) -> tuple[int, dict[str, Any], str]:
    """Send a request, and again when it could not get its lock in time, as docs/api.md says."""
    for _ in range(20):
        status, body, replayed = _send_once(url, token, key)
        if status != 503:
            break
    return status, body, replayed


def _send_once(url: str, token: str, key: str) -> tuple[int, dict[str, Any], str]:
    request = urllib.request.Request(
        url,
        data=b"{}",
        method="POST",
        headers={
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/json",
            "Idempotency-Key": key,
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            replayed = answer.headers.get("Idempotency-Replayed", "")
            return answer.status, json.load(answer), replayed
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused), ""


def at_once(url: str, token: str, keys: list[str]) -> list[tuple[int, dict[str, Any], str]]:
    """Send one request a key, all released at the same moment."""
    start = threading.Barrier(len(keys))

    def one(key: str) -> tuple[int, dict[str, Any], str]:
        start.wait(timeout=30)
        return send(url, token, key)

    with ThreadPoolExecutor(len(keys)) as threads:
        return list(threads.map(one, keys))


def test_one_key_sent_many_times_at_once_randomizes_once(server: str) -> None:
    study = factories.a_study()
    number = factories.a_subject(factories.a_centre(study)).number
    url = f"{server}/api/v1/subjects/{number}/randomization"
    edc = Edc(study)
    key = str(uuid.uuid4())
    answers = at_once(url, edc.token, [key] * TOGETHER)
    fresh = [body for status, body, replayed in answers if status == 201 and not replayed]
    assert len(fresh) == 1
    for status, body, _ in answers:
        if status == 409:
            assert body["code"] == "request_in_flight"
        else:
            assert (status, body) == (201, fresh[0])
    assert Randomization.objects.count() == IdempotencyRecord.objects.count() == 1
    assert Kit.objects.filter(status=Kit.Status.ASSIGNED).count() == 1
    assert send(url, edc.token, key) == (201, fresh[0], "true")


@pytest.mark.requirement("REQ-003")
def test_many_keys_for_one_subject_at_once_randomize_once(server: str) -> None:
    study = factories.a_study()
    number = factories.a_subject(factories.a_centre(study)).number
    url = f"{server}/api/v1/subjects/{number}/randomization"
    answers = at_once(url, Edc(study).token, [str(uuid.uuid4()) for _ in range(TOGETHER)])
    assert Counter(status for status, _, _ in answers) == {201: 1, 409: TOGETHER - 1}
    [first] = [body for status, body, _ in answers if status == 201]
    for status, body, _ in answers:
        if status == 409:
            assert body["code"] == "already_randomized"
            assert body["randomization"] == first
    assert Randomization.objects.count() == IdempotencyRecord.objects.count() == 1


def test_a_key_in_flight_is_refused_and_free_afterwards(server: str, logins: Logins) -> None:
    """The first request waits for the centre's row, which this test holds, so that the second
    one certainly arrives while the first is at work."""
    study = factories.a_study()
    centre = factories.a_centre(study)
    number = factories.a_subject(centre).number
    url = f"{server}/api/v1/subjects/{number}/randomization"
    edc = Edc(study)
    holder = logins.owner()
    with ThreadPoolExecutor(1) as threads:
        with holder.transaction():
            holder.execute("SELECT 1 FROM enrolment_centre WHERE id = %s FOR UPDATE", [centre.pk])
            first = threads.submit(send, url, edc.token, "one")
            _wait_until_somebody_waits(logins, holder)
            status, body, _ = send(url, edc.token, "one")
            assert (status, body["code"]) == (409, "request_in_flight")
        assert first.result()[0] == 201
    assert send(url, edc.token, "one")[2] == "true"


def _wait_until_somebody_waits(logins: Logins, holder: psycopg.Connection) -> None:
    """Until somebody waits for `holder`, and for nobody else."""
    owner = logins.owner()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        waiting = owner.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND %s = ANY(pg_blocking_pids(pid))",
            [holder.info.backend_pid],
        ).fetchone()
        if waiting and waiting[0]:
            return
        time.sleep(0.01)
    raise AssertionError("no request waited for the centre")


def test_the_commands_of_the_documentation_work(server: str, tmp_path: Path) -> None:
    study = factories.a_study(code="bolero2")
    factories.a_centre(study, number="0101")
    client = register(study, ALL_SCOPES)
    blocks = RUN.findall((ROOT / "docs" / "api.md").read_text(encoding="utf-8"))
    assert len(blocks) >= 6
    script = tmp_path / "commands.sh"
    script.write_text("set -euo pipefail\n" + "\n".join(blocks), encoding="utf-8")
    done = subprocess.run(
        ["bash", str(script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        env={
            "PATH": os.environ["PATH"],
            "IWRS_URL": server,
            "CLIENT_ID": client.client_id,
            "CLIENT_SECRET": SECRET,
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert Randomization.objects.get(study=study).subject.first_doses.get().taken_on
    assert "already_randomized" in done.stdout
