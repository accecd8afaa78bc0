"""A replay on two cores: two processes share the subjects and meet at each supply run.

The first plays everything that needs one order for the whole study (centres, screening,
randomization, supply, sweeps) and subjects in their first week; the second plays most of the
others. A week leaves behind what one process would have left, since acts of different subjects do
not depend on each other between two supply runs.
"""

import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection

from django.db import connection, connections

from enrolment.models import Subject
from trial.replay.player import Player
from trial.replay.tape import Act, Step

ONE_ORDER = {Act.ACTIVATE, Act.SUPPLY, Act.SWEEP, Act.SCREEN, Act.FAIL, Act.RANDOMIZE}


def weeks(steps: list[Step]) -> list[list[Step]]:
    """The tape cut before each supply run."""
    cut: list[list[Step]] = [[]]
    for step in steps:
        if step.act == Act.SUPPLY:
            cut.append([])
        cut[-1].append(step)
    return cut


def play_on_two_cores(player: Player, progress: Callable[[int, int], None]) -> None:
    """Play the whole tape in this process and a second one. A fault in either ends both."""
    connections.close_all()  # a connection cannot be shared with the process that is forked now
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("fork")
    second = context.Process(target=_second, args=(player, there), daemon=True)
    second.start()
    there.close()
    try:
        _first(player, here, progress)
    finally:
        here.close()
        second.join(10)
        second.kill()


def _first(player: Player, other: Connection, progress: Callable[[int, int], None]) -> None:
    _do_not_wait_for_the_disk()
    total, done = len(player.steps), 0
    known: set[int] = set()
    for week in weeks(player.steps):
        together = [step for step in week if step.act in {Act.SUPPLY, Act.SWEEP}]
        player.play(together)
        started = {who: subject.pk for who, subject in player.subjects.items() if who not in known}
        known |= started.keys()
        other.send(started)
        player.play([s for s in _mine(week, second=False) if s not in together])
        if fault := other.recv():
            raise RuntimeError(f"the second process of the replay stopped: {fault}")
        done += len(week)
        progress(done, total)


def _second(player: Player, other: Connection) -> None:
    _do_not_wait_for_the_disk()
    for week in weeks(player.steps):
        started = other.recv()
        found = Subject.objects.select_related("centre__study").in_bulk(started.values())
        player.subjects |= {who: found[pk] for who, pk in started.items()}
        try:
            player.play(list(_mine(week, second=True)))
        except Exception as problem:
            other.send(f"{type(problem).__name__}: {problem}")
            raise
        other.send("")


def _mine(week: list[Step], *, second: bool) -> Iterator[Step]:
    """This process's steps of a week. Two of three subjects are the second one's, which has none of
    the acts that need one order, but for subjects who are screened or randomized this week.
    """
    new = {step.who for step in week if step.act in {Act.SCREEN, Act.RANDOMIZE}}
    for step in week:
        theirs = step.act not in ONE_ORDER and step.who not in new and step.who % 3 != 0
        if theirs == second:
            yield step


def _do_not_wait_for_the_disk() -> None:
    """A replay can be played again, so its acts do not wait until they are on the disk."""
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit = off")
