"""`manage.py code_break_packs register | make`: sealed packs for the day the system is down."""

from argparse import ArgumentParser
from getpass import getuser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from iwrs.actors import Actor
from iwrs.models import Study
from iwrs.problems import Problem


class Command(BaseCommand):
    help = "Register an emergency holder, or make the sealed code-break packs of a study."

    def add_arguments(self, parser: ArgumentParser) -> None:
        does = parser.add_subparsers(dest="does", required=True)
        register = does.add_parser("register", help="register an emergency holder's public key")
        register.add_argument("--study", required=True, help="the study's code")
        register.add_argument("--name", required=True, help="the holder's name")
        register.add_argument("--who", required=True, help="duty, organization, telephone")
        register.add_argument("--public-key", required=True, help="age1...")
        make = does.add_parser("make", help="make a new pack for every centre")
        make.add_argument("--study", required=True, help="the study's code")
        make.add_argument("--out", type=Path, required=True, help="directory for the sealed files")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.SIDE != "unblinded":
            raise CommandError(
                "Packs are made on the unblinded side. Set IWRS_SIDE=unblinded and the unblinded "
                "DATABASE_URL."
            )
        study = Study.objects.filter(code=options["study"]).first()
        if study is None:
            raise CommandError(f"There is no study with the code {options['study']}.")
        by = Actor(label=f"Command line ({getuser()})")
        try:
            if options["does"] == "make":
                self._make(study, options["out"], by)
            else:
                self._register(study, options, by)
        except (Problem, OSError) as problem:
            raise CommandError(str(problem)) from None

    def _make(self, study: Study, out: Path, by: Actor) -> None:
        from dsmb.unblinded.packs import make_packs, write_packs
        from dsmb.unblinded.paper import make_paper, write_paper

        out.mkdir(parents=True, exist_ok=True)  # before the work, which would be for nothing
        make_packs(study, by=by)
        paper = make_paper(study, by=by)
        written = write_packs(study, out) + ([write_paper(paper, out)] if paper else [])
        for path in written:
            self.stdout.write(f"{path}  {path.stat().st_size} bytes")

    def _register(self, study: Study, options: dict[str, Any], by: Actor) -> None:
        from dsmb.unblinded.holders import register_holder

        holder = register_holder(
            study,
            name=options["name"],
            who=options["who"],
            public_key=options["public_key"],
            by=by,
        )
        self.stdout.write(f"{holder.name} can open the packs of {study.code} from now on.")
