"""`manage.py replay bolero2`: play a simulated trial through the real services."""

import argparse
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from iwrs.models import Study
from trial.demo.cast import LIST_SEED, NATURE_SEED
from trial.nature import SIMULATED_NOTE, Nature
from trial.replay.pair import play_on_two_cores
from trial.replay.player import Player, add_centres
from trial.replay.source import simulated_trial
from trial.replay.supply import NoSupply, ask_and_wait


class Command(BaseCommand):
    help = "Play a simulated trial, from the first centre to the data cut, under the study's clock."
    requires_system_checks = []  # one of many short steps of the demonstration

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("study", help="code of a study marked as simulated")
        parser.add_argument("--subjects", type=int, default=724)
        parser.add_argument("--centres", type=int, default=189)
        parser.add_argument("--seed", type=int, default=NATURE_SEED)
        parser.add_argument(
            "--arm-blind", action="store_true", help="a nature whose courses ignore the arm"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        study = Study.objects.filter(code=options["study"]).first()
        if study is None or not study.simulated:
            raise CommandError(
                f"There is no study {options['study']!r} marked as simulated. A replay never "
                "touches a real study: load it with `study load FILE --simulated`."
            )
        if study.subjects.exists():
            raise CommandError("This study already has subjects. A replay needs an empty study.")
        self.stdout.write(SIMULATED_NOTE)
        nature = simulated_trial(
            study.definition,
            list_seed=LIST_SEED,
            nature_seed=options["seed"],
            subjects=options["subjects"],
            centres=options["centres"],
            arm_matters=not options["arm_blind"],
        )
        if not study.centres.exists():
            add_centres(nature, study)
        started = time.monotonic()
        acts = self._play(nature, study)
        self.stdout.write(
            f"{len(nature.patients)} subjects at {len(nature.centres)} centres: "
            f"{acts} acts in {time.monotonic() - started:.1f} seconds."
        )

    def _play(self, nature: Nature, study: Study) -> int:
        player = Player(nature, study, lambda moment: ask_and_wait(study, moment))
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as progress:
            task = progress.add_task("Replaying", total=len(player.steps))
            try:
                play_on_two_cores(player, lambda done, total: progress.update(task, completed=done))
            except NoSupply as problem:
                raise CommandError(str(problem)) from problem
        Study.objects.filter(pk=study.pk).update(replay_now=player.steps[-1].moment)
        return len(player.steps)
