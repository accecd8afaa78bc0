"""`python -m bench.simulate`: the simulation of randomization methods, beside a plain loop.

The plain loop is what one would write first: one trial after the other, each subject by the pure
`weights` of `randomization.methods`, one process, and nothing measured. The simulation does all
trials of a chunk at once, in two processes, and measures everything. Both in one run.

With `--database` also the whole command, `manage.py simulate`, on a new database of its own.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from bench.audit import migrate
from iwrs.embedded import Services, start
from iwrs.processes import PROCESSES, environment
from randomization.methods import Minimization, from_json, tracks
from randomization.simulation.accrual import Accrual
from randomization.simulation.chunk import chunks_of, trials_in
from randomization.simulation.plan import Contender, Factor, Plan, simulate
from randomization.simulation.summary import summarize
from randomization.simulation.supply import Supply

ROOT = Path(__file__).resolve().parent.parent
SUBJECTS, PROCESSES_HERE, SECONDS_ALLOWED = 724, 2, 60
PLAIN_TRIALS = 20  # of the plain loop: the time of one is what is asked
ARMS = (("EVE", 2), ("PBO", 1))
NAMES = ("visceral", "sensitive")
SUPPLY = Supply(per_week=8.6, cohort_size=6)  # 724 subjects in 84 weeks or so
METHODS: tuple[dict[str, Any], ...] = (
    {"method": "permuted-blocks", "block_sizes": [3, 6]},
    {"method": "efron", "coin": "2/3"},
    {"method": "minimization", "imbalance": "range", "coin": "4/5"},
)


def a_plan(method: dict[str, Any], supply: Supply | None = None) -> Plan:
    return Plan(
        arms=ARMS,
        factors=tuple(Factor(name=name, levels=("yes", "no")) for name in NAMES),
        accrual=Accrual(SUBJECTS, (1.0,) * 189, ((0.56, 0.44), (0.84, 0.16))),
        contenders=(Contender(label=method["method"], method=method, by=NAMES),),
        supply=supply,
    )


def chunk_of(plan: Plan, trials: int, number: int) -> list[dict[str, Any]]:
    return simulate(plan, seed=1, chunk=number, trials=trials_in(number, trials, SUBJECTS))


def at_once(
    method: dict[str, Any], trials: int, pool: ProcessPoolExecutor, supply: Supply | None = None
) -> None:
    """The simulation, with all its measures."""
    plan = a_plan(method, supply)
    numbers = range(chunks_of(trials, SUBJECTS))
    found = dict(zip(numbers, pool.map(partial(chunk_of, plan, trials), numbers), strict=True))
    assert summarize(plan, found)[0].arms[0].spread.mean > 0


class Numbers:
    """Python's own random numbers, as the methods want them."""

    def __init__(self) -> None:
        self.source = Random(1)

    def word(self) -> int:
        return self.source.getrandbits(32)

    def below(self, bound: int) -> int:
        return self.source.randrange(bound)


def plain_loop(method: dict[str, Any], trials: int) -> None:
    """One subject after the other."""
    pure, numbers = from_json(method), Numbers()
    for _ in range(trials):
        lists: dict[tuple[int, ...], Iterator[list[str]]] = {}
        waiting: dict[tuple[int, ...], list[str]] = {}
        margins: dict[tuple[str, int], list[int]] = {}
        for _ in range(SUBJECTS):
            levels = tuple(numbers.below(2) for _ in NAMES)
            if isinstance(pure, Minimization):
                mine = {
                    name: margins.setdefault((name, level), [0] * len(tracks(ARMS)))
                    for name, level in zip(NAMES, levels, strict=True)
                }
                decision = pure.decide(ARMS, mine, numbers.source.getrandbits(53))
                for counts in mine.values():
                    counts[decision.track] += 1
            else:
                if not waiting.get(levels):
                    runs = lists.setdefault(levels, pure.runs(ARMS, numbers))
                    waiting[levels] = list(next(runs))
                waiting[levels].pop(0)


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def command(services: Services, trials: int) -> float:
    """Seconds of the whole command on the shipped study, with its own method."""
    worker = next(each for each in PROCESSES if each.name == "worker")
    other = next(each for each in PROCESSES if each.name == "worker-unblinded")
    blinded, unblinded = (
        environment(each, services.urls, services.secrets, dict(os.environ))
        for each in (worker, other)
    )
    run = partial(subprocess.run, cwd=ROOT, check=True)
    run(
        [sys.executable, "manage.py", "study", "load", "--yes", "studies/bolero2.toml"], env=blinded
    )
    arguments = ["--trials", str(trials), "--subjects", str(SUBJECTS), "--centres", "189"]
    arguments += ["--seed", "1", "--processes", str(PROCESSES_HERE)]
    return timed(
        lambda: run([sys.executable, "manage.py", "simulate", "bolero2", *arguments], env=unblinded)
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.simulate", description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--database", action="store_true", help="also the whole command")
    options = parser.parse_args()
    trials, slowest = options.trials, 0.0
    print(f"{trials:,} trials of {SUBJECTS} subjects, {PROCESSES_HERE} processes")
    with ProcessPoolExecutor(PROCESSES_HERE) as pool:
        for method in METHODS:
            pool_ready = list(pool.map(abs, range(PROCESSES_HERE)))
            assert pool_ready
            plain = timed(partial(plain_loop, method, PLAIN_TRIALS)) / PLAIN_TRIALS * trials
            seconds = timed(partial(at_once, method, trials, pool))
            slowest = max(slowest, seconds)
            print(
                f"  {method['method']:16} {seconds:7.1f} s   plain loop {plain:7.0f} s   "
                f"ratio {plain / seconds:6.1f}",
                flush=True,
            )
        kits = timed(partial(at_once, METHODS[0], trials, pool, SUPPLY))
        slowest = max(slowest, kits)
        print(f"  {METHODS[0]['method']:16} {kits:7.1f} s   with kits at centres", flush=True)
    if options.database:
        state = Path(tempfile.mkdtemp(prefix="iwrs-bench-simulate-"))
        try:
            with start(state) as services:
                migrate(services)
                seconds = command(services, trials)
                slowest = max(slowest, seconds)
                print(f"  the whole command {seconds:7.1f} s")
        finally:
            shutil.rmtree(state, ignore_errors=True)
    print(f"  slowest {slowest:.1f} s, of {SECONDS_ALLOWED} s allowed")
    return int(slowest > SECONDS_ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
