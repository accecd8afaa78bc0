"""`manage.py list verify STUDY`, `manage.py list bundle STUDY --out FILE`."""

from argparse import ArgumentParser
from getpass import getuser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from iwrs.actors import Actor
from iwrs.audit_trail.access import record_look
from iwrs.models import Study


class Command(BaseCommand):
    help = "Verify a study's lists and allocations, or write them to a file for others to verify."

    def add_arguments(self, parser: ArgumentParser) -> None:
        does = parser.add_subparsers(dest="does", required=True)
        verify = does.add_parser("verify", help="make each list again, replay each allocation")
        verify.add_argument("study", help="the study's code")
        bundle = does.add_parser("bundle", help="write lists, seeds and allocations to a file")
        bundle.add_argument("study", help="the study's code")
        bundle.add_argument("--out", type=Path, required=True, help="a new .zip or .json file")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.SIDE != "unblinded":
            raise CommandError(
                "Lists are read on the unblinded side. Set IWRS_SIDE=unblinded and the unblinded "
                "DATABASE_URL."
            )
        study = Study.objects.filter(code=options["study"]).first()
        if study is None:
            raise CommandError(f"There is no study with the code {options['study']}.")
        if options["does"] == "verify":
            self._verify(study)
        else:
            self._bundle(study, options["out"])

    def _verify(self, study: Study) -> None:
        from randomization.unblinded.verification import faults_of

        faults = list(faults_of(study))
        for fault in faults:
            self.stdout.write(f"WRONG  {fault}")
        if faults:
            raise CommandError(f"{len(faults)} faults in study {study.code}.")
        self.stdout.write("Everything agrees: lists, roots and allocations.")

    def _bundle(self, study: Study, out: Path) -> None:
        from randomization.unblinded.bundle import write_bundle

        if out.suffix not in {".zip", ".json"}:
            raise CommandError(f"{out}: the name must end in .zip or .json.")
        by = Actor(label=f"Command line ({getuser()})")
        record_look(by, page="the bundle of the lists", study_code=study.code, copied=True)
        try:
            made = write_bundle(study, out)
        except OSError as problem:
            raise CommandError(f"{out} cannot be written: {problem}") from None
        self.stdout.write(
            f"{out}  {len(made['lists'])} lists, {len(made['allocations'])} allocations. "
            "It tells every treatment: keep it as secret as the list."
        )
