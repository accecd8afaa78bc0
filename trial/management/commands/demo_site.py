"""`manage.py demo_site`: centres and blinded accounts of the demonstration; opens accrual."""

import argparse
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from iwrs import studies
from iwrs.models import Study
from trial.demo.cast import LIST_SEED, NATURE_SEED
from trial.replay.player import MANAGER, add_centres
from trial.replay.source import simulated_trial


class Command(BaseCommand):
    help = "Register the simulated trial's centres, make demo accounts, and open the study."
    requires_system_checks = []  # one of many short steps of the demonstration

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("study")
        parser.add_argument("--centres", type=int, default=189)

    def handle(self, *args: Any, **options: Any) -> None:
        study = Study.objects.get(code=options["study"])
        nature = simulated_trial(
            study.definition,
            list_seed=LIST_SEED,
            nature_seed=NATURE_SEED,
            centres=options["centres"],
            arm_matters=False,
        )
        add_centres(nature, study)
        call_command("demo_accounts", study.code)
        studies.set_status(study, Study.Status.OPEN, by=MANAGER)
