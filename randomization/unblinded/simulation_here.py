"""Chunks of a simulation in processes of this machine, beside any worker that takes some too.

Each process has its own connection and takes rows like a worker. This module loads without Django,
so that a new process can set it up first.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from time import sleep

SECONDS_BETWEEN_LOOKS = 0.2


def work_here(run: int, processes: int, finished: Callable[[], bool]) -> None:
    """Work on a run in so many processes, until `finished` says so.

    `finished` is asked a few times a second, also to show progress. With no process at all the run
    is left to the workers. Processes that are still there at the end are stopped: the chunk that
    one of them holds is free again at once.
    """
    spawned = _start(run, processes)
    try:
        while not finished():
            if spawned and not any(child.is_alive() for child in spawned) and not finished():
                # All chunks are taken; a worker may still hold some, or may have died with one.
                spawned = _start(run, 1)
            sleep(SECONDS_BETWEEN_LOOKS)
    finally:
        for child in spawned:
            child.terminate()
            child.join()


def _start(run: int, processes: int) -> list[BaseProcess]:
    # "spawn": a forked process would share this one's connection to the database.
    context = multiprocessing.get_context("spawn")
    children: list[BaseProcess] = [
        context.Process(target=_work, args=(run,), daemon=True) for _ in range(processes)
    ]
    for child in children:
        child.start()
    return children


def _work(run: int) -> None:
    import django

    django.setup()
    from randomization.unblinded.simulations import work_simulations

    work_simulations(run=run, seconds=None)
