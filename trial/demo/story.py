"""`make demo`: start everything, load the study, replay the trial, seal and open an extract.

This process knows no Django: it starts the services and runs each step as its own process with
the login of the side whose work it is, as an operator would.
"""

import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from rich.console import Console
from rich.table import Table

from iwrs.embedded import EmbeddedError, Services, start
from iwrs.embedded.state import write_private
from iwrs.processes import PROCESSES, Process, environment, owner_environment
from iwrs.supervisor import Supervisor, SupervisorError
from trial.demo.cast import BLINDED, STUDY, UNBLINDED
from trial.demo.summary import summary_page

ROOT = Path(__file__).resolve().parent.parent.parent
SIDES = {"blinded": "web", "unblinded": "web-unblinded"}


@dataclass
class Story:
    """One run of the demonstration. `took` maps each step to its seconds."""

    services: Services
    options: argparse.Namespace
    console: Console
    took: dict[str, float] = field(default_factory=dict)
    edc_client: str = ""

    @property
    def state(self) -> Path:
        return self.services.state_dir

    def base(self) -> dict[str, str]:
        """What both sides share."""
        port = self.options.port
        return {
            **os.environ,
            "IWRS_INSECURE_HTTP": "1",
            "IWRS_SECOND_FACTOR": "optional",  # the door says so
            "IWRS_EMAIL_BACKEND": "django.core.mail.backends.filebased.EmailBackend",
            "IWRS_EMAIL_DIR": str(self.state / "mail"),
            "IWRS_PORTAL_URL": f"http://localhost:{port}",
            "IWRS_UNBLINDED_URL": f"http://localhost:{port + 1}",
            "IWRS_LOG_LEVEL": "WARNING",
        }

    def environment(self, side: str) -> dict[str, str]:
        if side == "owner":
            return owner_environment(self.services.urls, self.services.secrets, self.base())
        process = next(p for p in PROCESSES if p.name == SIDES[side])
        made = environment(process, self.services.urls, self.services.secrets, self.base())
        made.pop("IWRS_POOL", None)
        return made

    def manage(self, side: str, *arguments: str, extra: dict[str, str] | None = None) -> str:
        """Run one management command as `side`; return what it printed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment(side) | (extra or {}),
            stdout=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            raise StoryError(f"`manage.py {arguments[0]}` ({side}) failed:\n{done.stdout[-2000:]}")
        return done.stdout

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        self.console.print(f"[bold]{name}[/bold] ...")
        started = time.monotonic()
        yield
        self.took[name] = time.monotonic() - started


class StoryError(RuntimeError):
    """A step of the demonstration failed; the text says which."""


def processes(port: int) -> tuple[Process, ...]:
    """The project's processes, with the web ports next to each other from `port`."""
    ports = {"web": port, "web-unblinded": port + 1}
    return tuple(
        replace(process, port=ports[process.name]) if process.name in ports else process
        for process in PROCESSES
    )


def set_up(story: Story, word: str) -> None:
    """Study, centres, accounts, list, kits and the DSMB's key."""
    options = story.options
    with story.step("Load the study definition"):
        study_file = str(ROOT / "studies" / f"{STUDY}.toml")
        story.manage("blinded", "study", "load", study_file, "--yes", "--simulated")
    with story.step("Make the DSMB's key pair"):
        identity = story.state / "dsmb-key.txt"
        identity.unlink(missing_ok=True)
        public_key = story.manage("blinded", "dsmb_key", "new", "--out", str(identity)).split()[-1]
    with story.step("Generate and approve the list, import kits"):
        story.manage("unblinded", "demo_accounts", STUDY, extra={"IWRS_DEMO_WORD": word})
        story.manage("unblinded", "demo_supplies", STUDY, "--public-key", public_key)
    with story.step("Register centres and accounts"):
        story.manage(
            "blinded", "demo_site", STUDY, "--centres", str(options.centres),
            extra={"IWRS_DEMO_WORD": word},
        )  # fmt: skip
        story.edc_client = story.manage(
            "blinded", "edc_client", "create", "--study", STUDY, "--name", "Demo EDC", "--scopes",
            *("subjects:read", "subjects:screen", "subjects:randomize"),
            *("kits:dispense", "assessments:report"),
        )  # fmt: skip


def run(story: Story, word: str) -> None:
    """The story after the processes run: set up, replay, cut, seal, open, sum up."""
    options = story.options
    set_up(story, word)
    with story.step(f"Replay {options.subjects} subjects at {options.centres} centres"):
        story.manage(
            "blinded", "replay", STUDY,
            "--subjects", str(options.subjects), "--centres", str(options.centres),
        )  # fmt: skip
    with story.step("Look for contradictions in the data, on either side"):
        for side in ("blinded", "unblinded"):
            story.manage(side, "check_invariants")
    with story.step("Send the reminders that are due (to a folder)"):
        story.manage("blinded", "deliver_letters")
    with story.step("Cut the data and request the sealed extract"):
        sealed = story.state / "release" / "extract.age"
        facts = json.loads(story.manage("blinded", "demo_extract", STUDY, "--out", str(sealed)))
    with story.step("Open the extract with the DSMB's key alone"):
        opened = sealed.with_suffix("")
        story.manage(
            "blinded", "unseal", str(sealed),
            "--identity", str(story.state / "dsmb-key.txt"), "--out", str(opened),
        )  # fmt: skip
    report = (opened / "summary.txt").read_text(encoding="utf-8")
    page = summary_page(report, facts, story.took)
    (story.state / "summary.txt").write_text(page, encoding="utf-8")
    story.console.print(page, markup=False, highlight=False, soft_wrap=True)


def save_blinded_login(story: Story) -> None:
    """The portal's own login for psql, so that anyone can see what it is refused."""
    parts = urlsplit(story.services.urls.blinded)
    login = {
        "PGHOST": parse_qs(parts.query)["host"][0],
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": parts.path.lstrip("/"),
    }
    write_private(story.state / "blinded-login.json", json.dumps(login))


def print_addresses(story: Story, word: str) -> None:
    """Where to look, and who may sign in."""
    port = story.options.port
    table = Table(title="Demo accounts (all with the word below)")
    for heading in ("Site", "E-mail", "Role"):
        table.add_column(heading)
    for site, people in (("portal", BLINDED), ("unblinded staff", UNBLINDED)):
        for person in people:
            table.add_row(site, person.email, person.role.replace("_", " "))
    story.console.print(table)
    story.console.print(f"Portal:          http://localhost:{port}/")
    story.console.print(f"Unblinded staff: http://localhost:{port + 1}/")
    story.console.print(f"API:             http://localhost:{port}/api/v1/docs/")
    story.console.print(f"Password:        {word}")
    story.console.print(f"An EDC client:   {' '.join(story.edc_client.split())}", soft_wrap=True)
    story.console.print(f"E-mails, logs, sealed extract: {story.state}")


def wait_for_ctrl_c(supervisor: Supervisor) -> None:
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    while not stopping.wait(2):
        supervisor.check()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--no-serve", action="store_true", help="tell the story and exit")
    parser.add_argument("--state", type=Path, default=ROOT / ".iwrs")
    parser.add_argument("--port", type=int, default=8000, help="the next one is used too")
    parser.add_argument("--subjects", type=int, default=724)
    parser.add_argument("--centres", type=int, default=189)
    options = parser.parse_args(arguments)
    console = Console(stderr=False)
    word = secrets.token_urlsafe(12)
    try:
        with start(options.state, database="iwrs_demo") as services:
            story = Story(services, options, console)
            with story.step("Make a new database"):
                for old in ("mail", "release"):
                    shutil.rmtree(story.state / old, ignore_errors=True)
                services.postgres.drop_database("iwrs_demo")
                services.postgres.provision("iwrs_demo")
                story.manage("owner", "migrate_both_sides", "-v0")
            supervisor = Supervisor(
                services, processes=processes(options.port), base=story.base(), directory=ROOT
            )
            with story.step("Start web, workers and beat"):
                supervisor.start()
            with supervisor_stopped(supervisor):
                run(story, word)
                if not options.no_serve:
                    save_blinded_login(story)
                    print_addresses(story, word)
                    console.print("Serving. Ctrl-C ends it.")
                    wait_for_ctrl_c(supervisor)
    except (EmbeddedError, SupervisorError, StoryError) as problem:
        console.print(str(problem), markup=False, highlight=False)
        return 1
    return 0


@contextmanager
def supervisor_stopped(supervisor: Supervisor) -> Iterator[None]:
    try:
        yield
    finally:
        supervisor.stop()


if __name__ == "__main__":
    sys.exit(main())
