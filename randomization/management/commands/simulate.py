"""`manage.py simulate STUDY`: compare randomization methods before the trial starts."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from iwrs.actors import Actor
from iwrs.models import Study
from iwrs.problems import Problem
from randomization.simulation.plan import Plan
from randomization.simulation.report import told_closed
from randomization.simulation.summary import MEASURES, Outcome
from randomization.simulation.supply_told import told_supply
from randomization.unblinded.models_simulation import SimulationRun
from randomization.unblinded.simulation_here import work_here
from randomization.unblinded.simulation_plan import Asked, plan_of
from randomization.unblinded.simulation_report import run_pdf
from randomization.unblinded.simulations import kits, outcomes, progress, request_simulation


class Command(BaseCommand):
    help = "Simulate randomization methods for a study and compare them. Unblinded side only."
    requires_system_checks = []

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("study", help="code of the study")
        parser.add_argument("--trials", type=int, default=10_000)
        parser.add_argument("--seed", type=int, help="a whole number; drawn and told if not given")
        parser.add_argument(
            "--method",
            action="append",
            default=[],
            metavar="LINE",
            help="for example 'efron coin=2/3' or 'permuted-blocks block_sizes=4,8 by=none'; "
            "give it again to compare more (default: the study's own)",
        )
        parser.add_argument("--subjects", type=int, help="in each trial (default: as planned)")
        parser.add_argument("--centres", type=int, help="with equal weights")
        parser.add_argument("--accrual", type=Path, metavar="FILE", help="who comes, as TOML")
        parser.add_argument("--pdf", type=Path, metavar="FILE", help="write the comparison there")
        parser.add_argument(
            "--processes",
            type=int,
            default=os.cpu_count() or 1,
            help="on this machine, beside the workers that run (0: leave all to the workers)",
        )
        parser.add_argument("--by", default="System operator", help="who asks")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.SIDE != "unblinded":
            raise CommandError("This is the unblinded side's work. Set IWRS_SIDE=unblinded.")
        if options["processes"] < 0:
            raise CommandError("--processes: give 0 or more.")
        run = self._request(options)
        self.stdout.write(
            f"Simulation {run.number} of {options['study']}: {run.trials:,} trials, seed {run.seed}"
        )
        self._work(run, options["processes"])
        if progress(run).failed:
            raise CommandError(f"{progress(run).failed} chunks failed; see the log.")
        plan = Plan.from_json(run.plan)
        if plan.closed:
            self.stdout.write(told_closed(plan))
        self._tell(outcomes(run))
        self._tell_kits(told_supply(plan, kits(run)))
        if options["pdf"]:
            try:
                options["pdf"].write_bytes(run_pdf(run))
            except OSError as error:
                raise CommandError(f"The PDF cannot be written: {error.strerror}.") from None
            self.stdout.write(f"The comparison is in {options['pdf']}.")

    def _request(self, options: dict[str, Any]) -> SimulationRun:
        study = Study.objects.filter(code=options["study"]).first()
        if study is None or not study.definition_sha256:
            raise CommandError(f"There is no study {options['study']!r} with a definition.")
        try:
            accrual = options["accrual"].read_text("utf-8") if options["accrual"] else ""
            asked = Asked(
                methods="\n".join(options["method"]),
                accrual=accrual,
                subjects=options["subjects"],
                centres=options["centres"],
            )
            return request_simulation(
                study,
                plan_of(study, asked),
                trials=options["trials"],
                seed=options["seed"],
                by=Actor(options["by"]),
            )
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{options['accrual']} cannot be read as text: {error}.") from None
        except Problem as problem:
            raise CommandError("\n".join(f"{k}: {v}" for k, v in problem.errors.items())) from None

    def _work(self, run: SimulationRun, processes: int) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=Console(stderr=True)) as shown:
            task = shown.add_task("Simulating", total=progress(run).total)

            def finished() -> bool:
                now = progress(run)
                shown.update(task, completed=now.done + now.failed)
                return now.finished

            work_here(run.pk, processes, finished)

    def _tell(self, found: list[Outcome]) -> None:
        """A table as text: measures down, methods across."""
        for number, each in enumerate(found, start=1):
            self.stdout.write(f"  {number}  {each.label}")
        width = max(len(measure.title) for measure in MEASURES)
        heads = "".join(f"{number:>10}" for number in range(1, len(found) + 1))
        self.stdout.write(f"\n{'Mean over the trials':{width}}{heads}")
        for measure in MEASURES:
            means = (each.measures[measure.name].mean for each in found)
            percent = measure.scale == "percent"
            cells = (f"{mean:>10.1%}" if percent else f"{mean:>z10.2f}" for mean in means)
            self.stdout.write(f"{measure.title:{width}}{''.join(cells)}")
        sys.stdout.flush()

    def _tell_kits(self, told: dict[str, Any]) -> None:
        """Once, not by method: supply does not depend on it."""
        self.stdout.write("\nKits at centres")
        for sentence in told["assumed"]:
            self.stdout.write(f"  {sentence}")
        width = max((len(row["title"]) for row in told["rows"]), default=0)
        for row in told["rows"]:
            self.stdout.write(f"{row['title']:{width}}{row['main']:>10}  {row['more']}")
