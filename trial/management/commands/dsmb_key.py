"""`manage.py dsmb_key new | register`: keys of those who receive sealed packages."""

from argparse import ArgumentParser
from getpass import getuser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from dsmb.opening import OpeningError, new_identity
from iwrs.actors import Actor
from iwrs.models import Study
from iwrs.problems import Problem


class Command(BaseCommand):
    help = "Make a recipient's pair of keys, or register the public key of a recipient."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        does = parser.add_subparsers(dest="does", required=True)
        new = does.add_parser("new", help="make a pair of keys; needs no database")
        new.add_argument("--out", type=Path, required=True, help="new file for the secret key")
        register = does.add_parser("register", help="register a public key (unblinded side)")
        register.add_argument("--study", required=True, help="the study's code")
        register.add_argument("--recipient", required=True, help="key of the recipient")
        register.add_argument("--public-key", required=True, help="age1...")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["does"] == "new":
            self._new(options["out"])
        else:
            self._register(options["study"], options["recipient"], options["public_key"])

    def _new(self, out: Path) -> None:
        try:
            public = new_identity(out)
        except OpeningError as problem:
            raise CommandError(str(problem)) from None
        self.stderr.write(f"The secret key is in {out}. Keep it; nobody else can open a package.")
        self.stdout.write(public)

    def _register(self, code: str, recipient: str, public_key: str) -> None:
        from dsmb.unblinded.services import register_recipient_key

        if settings.SIDE != "unblinded":
            raise CommandError(
                "A key is registered on the unblinded side. Set IWRS_SIDE=unblinded and the "
                "unblinded DATABASE_URL."
            )
        study = Study.objects.filter(code=code).first()
        if study is None:
            raise CommandError(f"There is no study with the code {code}.")
        by = Actor(label=f"Command line ({getuser()})")
        try:
            register_recipient_key(study, recipient, public_key, by=by)
        except Problem as problem:
            raise CommandError(str(problem)) from None
        self.stdout.write(f"Packages for {recipient} of {code} are sealed to this key from now on.")
