"""`manage.py import_kits FILE --study CODE`: take a file of kits into the depot."""

import argparse
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from dispensing.unblinded.services import import_kits
from iwrs.actors import Actor
from iwrs.models import Study
from iwrs.problems import Problem


class Command(BaseCommand):
    help = "Import a file of kits, whole or not at all. Unblinded side only."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--study", required=True, help="code of the study")
        parser.add_argument(
            "--by", default="System operator", help="who imports, as the audit trail names them"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.SIDE != "unblinded":
            raise CommandError("This is the unblinded side's work. Set IWRS_SIDE=unblinded.")
        study = Study.objects.filter(code=options["study"]).first()
        if study is None:
            raise CommandError(f"There is no study {options['study']!r}.")
        try:
            file = options["file"].read_bytes()
            done = import_kits(study, file, file_name=options["file"].name, by=Actor(options["by"]))
        except OSError as error:
            raise CommandError(f"The file cannot be read: {error.strerror}.") from None
        except Problem as problem:
            raise CommandError("\n".join(_lines(problem))) from None
        self.stdout.write(f"{done.kits} kits imported into {study.code}.")


def _lines(problem: Problem) -> list[str]:
    faults = [f"  {where}: {what}" for where, what in problem.errors.items()]
    return [problem.title, *faults, problem.action]
