"""`manage.py make_kits FILE --study CODE`: a file of kits as a packaging vendor delivers it."""

import argparse
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dispensing.unblinded.numbers import plan_lots, vendor_csv
from iwrs.models import Study
from iwrs.problems import Invalid


class Command(BaseCommand):
    help = "Write a file of kits for the arms of a study, for `import_kits`."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="CSV to write; it must not exist yet")
        parser.add_argument("--study", required=True, help="code of the study")
        parser.add_argument("--kits", type=int, default=12_000)
        parser.add_argument("--lots", type=int, default=4)
        parser.add_argument("--lot-prefix", default="L", help="lots are L01, L02 and so on")
        parser.add_argument("--first-expiry", type=date.fromisoformat, required=True)
        parser.add_argument("--months-apart", type=int, default=6, help="between two expiries")
        parser.add_argument("--seed", help="any text; one seed gives one file")
        parser.add_argument("--skip", type=int, default=0, help="kits delivered before, same seed")

    def handle(self, *args: Any, **options: Any) -> None:
        study = Study.objects.filter(code=options["study"]).first()
        if study is None:
            raise CommandError(f"There is no study {options['study']!r}.")
        if not 1 <= options["lots"] <= 99 or options["months_apart"] < 0 or options["skip"] < 0:
            raise CommandError("--lots is from 1 to 99; --months-apart and --skip from 0 on.")
        lots = plan_lots(
            options["lots"],
            first_expiry=options["first_expiry"],
            months_apart=options["months_apart"],
            prefix=options["lot_prefix"],
        )
        try:
            text = vendor_csv(
                study.definition,
                kits=options["kits"],
                seed=options["seed"],
                lots=lots,
                skip=options["skip"],
            )
            with options["file"].open("x", encoding="utf-8", newline="") as file:
                file.write(text)
        except (Invalid, ValueError, OSError) as problem:
            raise CommandError(str(problem)) from None
        self.stdout.write(
            f"{options['kits']} kits in {len(lots)} lots are in {options['file']}. "
            "The file tells the content of each kit: keep it on the unblinded side."
        )
