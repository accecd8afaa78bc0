"""`manage.py demo_supplies`: list, kits and the DSMB's key of the demonstration. Unblinded."""

import argparse
from datetime import UTC, date, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from dispensing.unblinded.numbers import plan_lots, vendor_csv
from dispensing.unblinded.services import import_kits
from dsmb.unblinded.services import register_recipient_key
from iwrs import clock
from iwrs.actors import Actor
from iwrs.models import Study
from iwrs.signatures import Signature
from randomization.unblinded.services import approve_list, generate_list
from trial.demo.cast import KIT_SEED, LIST_SEED, UNBLINDED

BEFORE_THE_TRIAL = datetime(2009, 5, 4, 9, tzinfo=UTC)


class Command(BaseCommand):
    help = "Generate and approve the list, import kits and register the DSMB's public key."
    requires_system_checks = []  # one of many short steps of the demonstration

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("study")
        parser.add_argument("--public-key", required=True, help="age1... of the DSMB")
        parser.add_argument("--kits", type=int, default=18_000)

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.SIDE != "unblinded":
            raise CommandError("This is the unblinded side's work. Set IWRS_SIDE=unblinded.")
        study = Study.objects.get(code=options["study"])
        people = [Actor(f"{p.name} <{p.email}>", kind="person", role=p.role) for p in UNBLINDED]
        register_recipient_key(study, "dsmb", options["public_key"], by=people[0])
        with clock.at(BEFORE_THE_TRIAL):
            self._approved_list(study, people)
            self._kits(study, people[3], options["kits"])

    def _approved_list(self, study: Study, people: list[Actor]) -> None:
        made = generate_list(study, by=people[0], seed=LIST_SEED)
        for person in people[1:3]:
            signature = Signature(person.label, clock.now(), "I approve this list")
            made = approve_list(made, by=person, signature=signature)
        self.stdout.write(f"List {made.number} is {made.get_status_display().lower()}.")

    def _kits(self, study: Study, by: Actor, kits: int) -> None:
        lots = plan_lots(3, first_expiry=date(2011, 12, 31), months_apart=6)
        text = vendor_csv(study.definition, kits=kits, lots=lots, seed=KIT_SEED.hex())
        imported = import_kits(study, text, file_name="demo-kits.csv", by=by, seed=KIT_SEED)
        self.stdout.write(f"{imported.kits} kits imported.")
