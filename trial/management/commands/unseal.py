"""`manage.py unseal FILE --identity KEYFILE --out DIR`: open a sealed package."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dsmb.opening import OpeningError, open_package


class Command(BaseCommand):
    help = "Open a sealed package with the recipient's secret key. Needs no database."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the sealed package (.age)")
        parser.add_argument("--identity", type=Path, required=True, help="the secret key file")
        parser.add_argument("--out", type=Path, required=True, help="a new directory")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            written = open_package(options["file"], options["identity"], options["out"])
        except OpeningError as problem:
            raise CommandError(str(problem)) from None
        for path in written:
            self.stdout.write(f"{path}  {path.stat().st_size} bytes")
        self.stdout.write("Every file agrees with the manifest.")
