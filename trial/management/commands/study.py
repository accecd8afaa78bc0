"""`manage.py study load FILE [--yes]`, `manage.py study show CODE`."""

from argparse import ArgumentParser
from getpass import getuser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from iwrs import studies
from iwrs.actors import Actor
from iwrs.definition import DefinitionError, LoadedDefinition, load_definition
from iwrs.models import Study
from iwrs.problems import Problem
from randomization.models import ListCommitment


def _has_list(study: Study) -> bool:
    return ListCommitment.objects.filter(study=study).exists()


class Command(BaseCommand):
    help = "Load a study definition after showing what it changes, or show the one in force."

    def add_arguments(self, parser: ArgumentParser) -> None:
        does = parser.add_subparsers(dest="does", required=True)
        load = does.add_parser("load", help="show the plan of changes, ask, and store")
        load.add_argument("file", type=Path)
        load.add_argument("--yes", action="store_true", help="do not ask")
        load.add_argument(
            "--simulated", action="store_true", help="a new study whose data will be simulated"
        )
        load.add_argument(
            "--training", action="store_true", help="a study of its own for practice, beside it"
        )
        load.add_argument(
            "--next-list",
            action="store_true",
            help="announce it: it comes into force when the list made for it is approved",
        )
        show = does.add_parser("show", help="show the definition in force")
        show.add_argument("code")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["does"] == "load":
            self._load(
                options["file"],
                yes=options["yes"],
                simulated=options["simulated"],
                training=options["training"],
                next_list=options["next_list"],
            )
        else:
            self._show(options["code"])

    def _load(
        self, path: Path, *, yes: bool, simulated: bool, training: bool, next_list: bool
    ) -> None:
        if settings.SIDE != "blinded":
            raise CommandError("A study is loaded on the blinded side. Set IWRS_SIDE=blinded.")
        try:
            loaded = load_definition(path)
        except DefinitionError as problem:
            raise CommandError(f"{path} cannot be used:\n{problem}") from None
        code = studies.code_of(loaded, training=training)
        list_exists = ListCommitment.objects.filter(study__code=code).exists()
        plan = studies.plan(loaded, list_exists=list_exists, training=training, next_list=next_list)
        self.stdout.write(f"Study {code}. {plan.render()}")
        if plan.refused:
            raise CommandError("Nothing was changed: undo the refused changes in the file.")
        if not plan.changes and self._is_stored(code, loaded):
            return
        if not yes and input("Load this definition? Type yes: ").strip().lower() != "yes":
            raise CommandError("Nothing was changed.")
        by = Actor(label=f"Command line ({getuser()})")
        try:
            version = studies.load(
                loaded,
                by=by,
                list_exists=_has_list,
                simulated=simulated,
                training=training,
                next_list=next_list,
            )
        except Problem as problem:
            raise CommandError(str(problem)) from None
        self.stdout.write(f"Stored as version {version.number} of {code}.")
        if next_list:
            self.stdout.write("It comes into force with the next list: generate and approve it.")

    @staticmethod
    def _is_stored(code: str, loaded: LoadedDefinition) -> bool:
        """Whether this very file is in force; one that differs in comments only is not."""
        study = Study.objects.get(code=code)
        return study.version.sha256 == loaded.sha256

    def _show(self, code: str) -> None:
        study = Study.objects.filter(code=code, versions__isnull=False).first()
        if study is None:
            raise CommandError(f"There is no study with the code {code} and a definition.")
        version = study.version
        self.stdout.write(f"# {study.title}\n# State: {study.get_status_display()}")
        self.stdout.write(
            f"# Version {version.number}, loaded {version.loaded_at:%-d %B %Y %H:%M} UTC "
            f"by {version.loaded_by}\n# SHA-256 of the file: {version.sha256}\n"
        )
        self.stdout.write(version.source)
