"""`manage.py audit`: seal the audit trail, verify it, and take its roots out of the database."""

import hashlib
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from iwrs.audit_trail.findings import Finding
from iwrs.audit_trail.roots import RootsError, compare, export
from iwrs.audit_trail.sealing import seal, sides
from iwrs.audit_trail.verifying import verify

SHOWN = 20


class Command(BaseCommand):
    help = "Seal this side's audit trail, verify it, or export the roots of its seals."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("seal", help="seal what is new; the workers do it every minute")
        check = verbs.add_parser("verify", help="recompute every seal and name what differs")
        check.add_argument(
            "--roots", type=Path, metavar="FILE", help="compare with roots exported earlier"
        )
        out = verbs.add_parser("roots", help="write the roots, and a request to time-stamp them")
        out.add_argument("--out", type=Path, required=True, metavar="FILE")

    def handle(self, *args: Any, **options: Any) -> None:
        verbs = {"seal": self.seal, "verify": self.verify, "roots": self.roots}
        verbs[options["verb"]](options)

    def seal(self, options: dict[str, Any]) -> None:
        if settings.SIDE == "owner":
            raise CommandError("Each side seals its own history. Set IWRS_SIDE.")
        self.stdout.write(f"{seal()} rows sealed.")

    def verify(self, options: dict[str, Any]) -> None:
        found: list[Finding] = []
        if options["roots"] is not None:
            try:
                found += compare(options["roots"])
            except RootsError as problem:
                raise CommandError(str(problem)) from None
        for side in sides():
            report = verify(side)
            found += report.findings
            self.stdout.write(
                f"The {side} side: {report.rows} rows in {report.batches} batches compared, "
                f"{report.waiting} not sealed yet. Last link: {report.last_chain.hex() or 'none'}."
            )
        for each in found[:SHOWN]:
            self.stderr.write(str(each))
        if found:
            raise CommandError(f"{len(found)} differences. The first: {found[0]}")
        self.stdout.write("The audit trail is as it was sealed.")

    def roots(self, options: dict[str, Any]) -> None:
        try:
            request = export(options["out"])
        except OSError as error:
            raise CommandError(f"{options['out']} cannot be written: {error.strerror}.") from None
        digest = hashlib.sha256(options["out"].read_bytes()).hexdigest()
        self.stdout.write(f"{options['out']}: SHA-256 {digest}")
        self.stdout.write(f"{request}: send it to a time-stamping authority, and keep the answer.")
