"""Real Celery workers, with the real logins, on a real Redis that is thrown away half-way."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyrage
import pytest
from kombu import Connection

from assessments.models import Visit
from dsmb import analysis, services
from dsmb.models import Extract
from dsmb.unblinded.services import register_recipient_key
from iwrs import clock, tasks
from iwrs.actors import SYSTEM
from iwrs.celery import app
from iwrs.embedded.redis import Redis
from iwrs.embedded.state import load_secrets, prepare_directory
from iwrs.processes import (
    PROCESSES,
    ServiceUrls,
    broker_transport_options,
    command_line,
    environment,
)
from randomization.unblinded.simulation_plan import Asked, plan_of
from randomization.unblinded.simulations import TASK as SIMULATE
from randomization.unblinded.simulations import progress, request_simulation
from tests import factories as make
from tests.roles import as_unblinded

ROOT = Path(__file__).resolve().parents[2]
SECRETS = {f"secret_key_{side}": f"test-{side}" * 8 for side in ("blinded", "unblinded")}
BY_NAME = {process.name: process for process in PROCESSES}


class Workers:
    """Redis and the worker processes of one test."""

    def __init__(self, logins):
        self.state = prepare_directory(Path(tempfile.mkdtemp(prefix="iwrs-test-")))
        self.passwords = load_secrets(self.state)
        self.redis = Redis(self.state, self.passwords)
        self.redis.start()
        self.running = {}
        self.urls = ServiceUrls(
            owner="",
            blinded=logins.url("blinded"),
            unblinded=logins.url("unblinded"),
            redis_blinded=self.redis.url("blinded"),
            redis_unblinded=self.redis.url("unblinded"),
        )

    def log(self, name):
        return (self.state / f"{name}.out").read_text(errors="replace")

    def start(self, name):
        process = BY_NAME[name]
        with (self.state / f"{name}.out").open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", *command_line(process, state_dir=self.state)],
                stdout=log,
                stderr=log,
                cwd=ROOT,
                env=environment(process, self.urls, SECRETS, os.environ),
            )
        wait_for(lambda: " ready." in self.log(name), f"{name} to be ready")

    def stop(self, name):
        child = self.running.pop(name)
        child.terminate()
        child.wait(30)

    def wipe_redis(self):
        """Redis keeps nothing on disk: started again it is empty."""
        port = self.redis.port
        self.redis.stop()
        self.redis = Redis(self.state, self.passwords, port=port)
        self.redis.start()

    def connection(self, **options):
        options = options or {"transport_options": broker_transport_options("blinded")}
        return Connection(self.urls.redis_blinded, **options)

    def send(self, name):
        """As beat does."""
        with self.connection() as connection:
            app.send_task(name, connection=connection)

    def close(self):
        for name in list(self.running):
            self.stop(name)
        self.redis.stop()
        shutil.rmtree(self.state)


@pytest.fixture
def workers(committed_db, logins, monkeypatch):
    made = Workers(logins)
    monkeypatch.setattr(app, "connection_for_write", made.connection)
    yield made
    made.close()


def wait_for(happened, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.1)


def taken(log):
    """Names of the tasks that a worker took."""
    return set(re.findall(r"Task ([\w.]+)\[[\w-]+\] received", log))


def status(extract):
    return Extract.objects.values_list("status", flat=True).get(pk=extract.pk)


class Trial:
    """A small study with a data cut, whose extracts go to a recipient with a key."""

    def __init__(self):
        self.identity = pyrage.x25519.Identity.generate()
        with clock.at(make.at(2010, 3, 1)):
            self.study = make.a_study()
            centre = make.a_centre(self.study)
        with clock.at(make.at(2010, 3, 2)):
            self.subjects = [make.a_randomized_subject(centre) for _ in range(3)]
        with as_unblinded():
            register_recipient_key(self.study, "dsmb", str(self.identity.to_public()), by=SYSTEM)
        on = make.at(2010, 6, 1).date()
        self.cut = services.cut_data(self.study, by=make.TESTER, on=on, reason="Interim")

    def request(self):
        return services.request_extract(
            self.study, self.cut, recipient="dsmb", by=make.TESTER, reason="Look 1"
        )

    def opens(self, extract):
        files = analysis.unseal(
            bytes(Extract.objects.get(pk=extract.pk).sealed), str(self.identity)
        )
        assert analysis.check_manifest(files) == []
        assert all(subject.number in files["adsl.csv"].decode() for subject in self.subjects)


def overdue():
    return Visit.objects.filter(status="overdue").count()


def test_each_queue_has_its_worker_and_a_wiped_redis_loses_nothing(workers):
    trial = Trial()
    # Only the blinded worker runs: it sweeps, and nobody builds.
    workers.start("worker")
    first = trial.request()
    workers.send("assessments.tasks.sweep_studies")
    wait_for(lambda: overdue() > 0, "the sweep")
    assert overdue() == Visit.objects.count()
    assert status(first) == "queued"

    # The wake-ups are lost with Redis, the rows are not: the next wake-up finds the work.
    workers.wipe_redis()
    workers.start("worker-unblinded")
    time.sleep(1)
    assert status(first) == "queued"
    workers.send("dsmb.tasks.unblinded_work_extracts")
    wait_for(lambda: status(first) == "ready", "the extract")

    a_simulation_is_taken(workers, trial.study)

    # A request wakes the worker by itself.
    second = trial.request()
    wait_for(lambda: status(second) == "ready", "the extract that was woken for")
    third = redis_goes_away_and_comes_back(workers, trial)
    for extract in (first, second, third):
        trial.opens(extract)
    logs_tell_what_was_done_and_nothing_else(workers, trial)


def a_simulation_is_taken(workers, study):
    """Chunks are rows, and two wake-ups are as good as one."""
    with as_unblinded():
        asked = plan_of(study, Asked(methods="complete", subjects=40))
        run = request_simulation(study, asked, trials=600, seed=1, by=SYSTEM)
        assert progress(run).done == 0
    workers.send(SIMULATE)
    workers.send(SIMULATE)

    def simulated():
        with as_unblinded():
            return progress(run).finished

    wait_for(simulated, "the simulation")


def redis_goes_away_and_comes_back(workers, trial):
    """Redis ends under running workers; a request is taken all the same, and they go on later."""
    workers.redis.stop()
    began = time.monotonic()
    asked = trial.request()
    assert time.monotonic() - began < 5
    workers.wipe_redis()
    Visit.objects.update(status="planned")

    def woken():
        # The workers look for Redis again after some seconds; beat repeats itself meanwhile.
        for name in (*tasks.UNBLINDED_WORK, "assessments.tasks.sweep_studies"):
            workers.send(name)
        time.sleep(0.5)
        return status(asked) == "ready" and overdue() == Visit.objects.count()

    wait_for(woken, "both workers to go on")
    return asked


def logs_tell_what_was_done_and_nothing_else(workers, trial):
    assert taken(workers.log("worker")) == {
        "assessments.tasks.sweep_studies",
        "assessments.tasks.sweep_study",
    }
    assert taken(workers.log("worker-unblinded")) == {*tasks.UNBLINDED_WORK, SIMULATE}
    for name in ("worker", "worker-unblinded"):
        for word in ("EVE", "PBO", "Everolimus", trial.subjects[0].number):
            assert word not in workers.log(name), word
