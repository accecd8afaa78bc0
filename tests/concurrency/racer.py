"""Real processes that act at the same moment, each with its own connection and the blinded login.

Run as a script: it reads a job from standard input, forks one process for each share of it, lets
them start together, and prints what each call was answered. Forked after Django is loaded and
before any connection is opened, so that eight processes cost little more than one.
"""

import json
import multiprocessing
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import BrokenBarrierError
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROCESSES = 8
PATIENCE_SECONDS = 300  # of a race that hangs; eight processes on a busy machine take their time
MEETING_SECONDS = 20


@dataclass(frozen=True)
class Race:
    """A running race. `answers` waits for its end."""

    process: subprocess.Popen[str]

    def answers(self) -> list[dict[str, Any]]:
        said, wrong = self.process.communicate(timeout=PATIENCE_SECONDS)
        assert self.process.returncode == 0, wrong
        return [answer for line in said.splitlines() for answer in json.loads(line)]


def start(url: str, kind: str, shares: list[list[Any]]) -> Race:
    """Start a race. `kind` is `randomize` (shares of subjects' keys), `randomize_unlocked` (the
    same without the lock on the study's accrual; each share has a centre of its own) or `sql` (of
    statements).
    """
    environment = {**os.environ, "DATABASE_URL": url, "IWRS_SIDE": "blinded"}
    process = subprocess.Popen(
        [sys.executable, __file__],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps({"url": url, "kind": kind, "shares": shares}))
    process.stdin.close()
    process.stdin = None
    return Race(process)


def shared_out(items: list[Any]) -> list[list[Any]]:
    """The items dealt out to the processes in turn."""
    return [items[n::PROCESSES] for n in range(PROCESSES)]


def randomize_one(pk: int) -> dict[str, Any]:
    """Randomize through the service, as a web process does; a busy answer is tried again."""
    from enrolment.models import Subject
    from iwrs.problems import Problem
    from tests.factories import TESTER
    from trial.services import randomize

    subject = Subject.objects.get(pk=pk)
    for _ in range(20):
        try:
            answer = randomize(subject, by=TESTER)
        except Problem as problem:
            if problem.code != "busy":
                return {"subject": pk, "problem": problem.code}
        else:
            return {
                "subject": pk,
                "number": answer.randomization.number,
                "kit": answer.kit.number,
                "first_time": answer.first_time,
            }
    return {"subject": pk, "problem": "busy"}


def count_together(together: Any) -> None:
    """Take the lock on the study's accrual away; no process goes on before all have counted.

    Without the second, whether the processes meet would be left to chance.
    """
    from trial import caps

    counted = caps._reached

    def slowly(*arguments: Any, **named: Any) -> str | None:
        full = counted(*arguments, **named)
        with suppress(BrokenBarrierError):
            together.wait(MEETING_SECONDS)
        return full

    caps.hold = lambda study, limits: False
    caps._reached = slowly


def run_statement(connection: Any, statement: str) -> dict[str, Any]:
    """Run one statement in a transaction of its own."""
    import psycopg

    try:
        row = connection.execute(statement).fetchone()
    except psycopg.Error as error:
        return {"statement": statement, "problem": error.sqlstate}
    return {"statement": statement, "value": row[0]}


def _share(job: dict[str, Any], share: list[Any], together: Any) -> None:
    if job["kind"].startswith("randomize"):
        from django.db import connection

        connection.ensure_connection()
        if job["kind"] == "randomize_unlocked":
            count_together(together)
        together.wait()
        answers = [randomize_one(pk) for pk in share]
    else:
        import psycopg

        with psycopg.connect(job["url"], autocommit=True) as connection:
            together.wait()
            answers = [run_statement(connection, statement) for statement in share]
    # One write of less than a pipe's atomic size each, so that lines of processes do not mix.
    for answer in answers:
        os.write(1, (json.dumps([answer]) + "\n").encode())


def main() -> int:
    job = json.load(sys.stdin)
    if job["kind"].startswith("randomize"):
        import django

        django.setup()
        import trial.services  # noqa: F401  before the forks, so that each need not load it
        from tests import factories  # noqa: F401
    context = multiprocessing.get_context("fork")
    together = context.Barrier(len(job["shares"]))
    processes = [
        context.Process(target=_share, args=(job, share, together)) for share in job["shares"]
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE_SECONDS)
    return max(process.exitcode or 0 for process in processes)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
