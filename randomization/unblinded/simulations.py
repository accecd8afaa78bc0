"""The verbs of a simulation: ask for a run, work on its chunks, read how far it is."""

import secrets
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from django.db import transaction
from django.db.models import Count, Max, Q, QuerySet
from django.db.models.functions import Now

from iwrs import clock
from iwrs.actors import SYSTEM, Actor
from iwrs.acts import act
from iwrs.models import Study
from iwrs.problems import Invalid
from iwrs.studies import lock_design
from iwrs.tasks import wake_unblinded, without_values
from randomization.simulation.chunk import VERSION, chunks_of, trials_in
from randomization.simulation.plan import Plan, simulate
from randomization.simulation.summary import Outcome, summarize
from randomization.simulation.supply_told import Kits, summarize_supply
from randomization.unblinded.models_simulation import SimulationChunk, SimulationRun

MOST_TRIALS = 100_000
LARGEST_SEED = 2**63 - 1
# A turn of the worker: extracts and supply wait for no longer than this and one chunk.
SECONDS_OF_A_TURN = 5.0
TASK = "randomization.tasks.unblinded_work_simulations"
WORKERS_WOKEN = 16  # at most so many work at once before beat wakes the rest
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Progress:
    """How far a run is, in chunks."""

    done: int
    failed: int
    total: int
    last_made: object

    @property
    def finished(self) -> bool:
        return self.done + self.failed == self.total

    @property
    def percent(self) -> int:
        return 100 * self.done // self.total


def request_simulation(
    study: Study, plan: Plan, *, trials: int, by: Actor, seed: int | None = None
) -> SimulationRun:
    """Ask for a run. Workers find its chunks; the seed is drawn if none is given.

    Raises `Invalid` for a number of trials or a seed out of range.
    """
    problems = {}
    if not 1 <= trials <= MOST_TRIALS:
        problems["trials"] = f"Give a whole number from 1 to {MOST_TRIALS:,}."
    if seed is not None and not 0 <= seed <= LARGEST_SEED:
        problems["seed"] = f"Give a whole number from 0 to {LARGEST_SEED}, or none."
    if problems:
        raise Invalid(problems)
    seed = secrets.randbelow(2**32) if seed is None else seed
    chunks = chunks_of(trials, plan.accrual.subjects)
    with act("request simulation", by=by):
        lock_design(study)  # numbers follow each other
        run = SimulationRun.objects.create(
            study=study,
            number=SimulationRun.objects.filter(study=study).count() + 1,
            version=VERSION,
            plan=plan.as_json(),
            trials=trials,
            seed=seed,
            definition_sha256=study.definition_sha256,
            requested_by=by.label,
            requested_at=clock.now(),
        )
        SimulationChunk.objects.bulk_create(
            SimulationChunk(run=run, number=number) for number in range(chunks)
        )
        transaction.on_commit(partial(wake_unblinded, [TASK] * WORKERS_WOKEN))
        return run


def work_simulations(*, run: int | None = None, seconds: float | None = SECONDS_OF_A_TURN) -> int:
    """Make chunks that wait, the oldest first, until none is left or the time is up.

    Returns how many were made. `run`: the key of the only run to work on. A turn that ends early
    wakes the workers again, so that other work gets in between.
    """
    began, made = time.monotonic(), 0
    while work_chunk(run=run):
        made += 1
        if seconds is not None and time.monotonic() - began > seconds:
            wake_unblinded([TASK])
            break
    return made


def work_chunk(*, run: int | None = None) -> bool:
    """Make one chunk that waits; False when there is none. Two workers never make the same one.

    One that fails says so in its row; the kind of error goes to this process's log.
    """
    with act("simulate chunk", by=SYSTEM):
        runs = SimulationRun.objects.filter(version=VERSION)
        if run is not None:
            runs = runs.filter(pk=run)
        waiting = SimulationChunk.objects.filter(
            status=SimulationChunk.Status.WAITING, run__in=runs.values("pk")
        )
        locked = waiting.select_for_update(skip_locked=True, no_key=True)
        chunk = locked.order_by("pk").first()
        if chunk is None:
            return False
        finish = partial(SimulationChunk.objects.filter(pk=chunk.pk).update, made_at=Now())
        try:
            results = make(chunk)
        except Exception as error:  # whatever it is, the run's other chunks go on
            log.error("simulation chunk failed", chunk=chunk.pk, **without_values(error))
            finish(status=SimulationChunk.Status.FAILED)
        else:
            finish(status=SimulationChunk.Status.DONE, results=results)
        return True


def make(chunk: SimulationChunk) -> list[dict[str, object]]:
    """The results of a chunk: the same whoever makes it."""
    run = chunk.run
    plan = Plan.from_json(run.plan)
    trials = trials_in(chunk.number, run.trials, plan.accrual.subjects)
    return simulate(plan, seed=run.seed, chunk=chunk.number, trials=trials)


def progress(run: SimulationRun) -> Progress:
    """How far the run is now."""
    found = run.chunks.aggregate(
        done=Count("pk", filter=Q(status=SimulationChunk.Status.DONE)),
        failed=Count("pk", filter=Q(status=SimulationChunk.Status.FAILED)),
        total=Count("pk"),
        last_made=Max("made_at"),
    )
    return Progress(**found)


def outcomes(run: SimulationRun) -> list[Outcome]:
    """What is known so far: the summary of the chunks that are done."""
    chunks = {number: results or [] for number, results in _done(run, "results")}
    return summarize(Plan.from_json(run.plan), chunks)


def kits(run: SimulationRun) -> Kits | None:
    """Kits at centres, of the chunks that are done; None when supply was not asked for."""
    plan = Plan.from_json(run.plan)
    if plan.supply is None:
        return None
    # The first method's results carry it; the others are not read.
    return summarize_supply(plan, dict(_done(run, "results__0__supply")))


def _done(run: SimulationRun, what: str) -> QuerySet[SimulationChunk, tuple[int, Any]]:
    done = run.chunks.filter(status=SimulationChunk.Status.DONE)
    return done.values_list("number", what)
