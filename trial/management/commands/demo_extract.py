"""`manage.py demo_extract`: what the administrator does at the interim, without the mouse."""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dsmb.models import Extract
from dsmb.services import count_events, cut_data, release_extract, request_extract, sealed_file
from iwrs import clock
from iwrs.actors import Actor
from iwrs.models import Study
from iwrs.signatures import Signature
from trial.demo.cast import BLINDED

SECONDS_TO_WAIT = 120


class Command(BaseCommand):
    help = "Cut the data on the study's present day, request an extract and save the sealed file."
    requires_system_checks = []  # one of many short steps of the demonstration

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("study")
        parser.add_argument("--out", type=Path, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        study = Study.objects.get(code=options["study"])
        person = next(p for p in BLINDED if p.role == "administrator")
        by = Actor(f"{person.name} <{person.email}>", kind="person", role=person.role)
        with clock.at(study.replay_now or clock.now()):
            cut = cut_data(study, by=by, on=clock.today(), reason="Planned interim analysis")
            extract = request_extract(
                study, cut, recipient="dsmb", by=by, reason="Interim analysis for the DSMB"
            )
            events = count_events(study)
        extract = self._released(self._wait(extract))
        options["out"].parent.mkdir(parents=True, exist_ok=True)
        options["out"].write_bytes(sealed_file(extract))
        facts = {
            "cut": cut.cut_on.isoformat(),
            "local": events.local,
            "central": events.central,
            "deaths": events.deaths,
            "planned": events.planned,
            "size": extract.size,
            "sha256": extract.sha256,
            "subjects": study.randomizations.count(),
            "centres": study.centres.filter(status="active").count(),
        }
        self.stdout.write(json.dumps(facts))

    def _released(self, extract: Extract) -> Extract:
        manager = next(p for p in BLINDED if p.role == "study_manager")
        by = Actor(f"{manager.name} <{manager.email}>", kind="person", role=manager.role)
        signature = Signature(by.label, clock.now(), "I release this sealed file to its recipient")
        return release_extract(extract, by=by, signature=signature)

    def _wait(self, extract: Extract) -> Extract:
        deadline = time.monotonic() + SECONDS_TO_WAIT
        while time.monotonic() < deadline:
            extract.refresh_from_db()
            if extract.status == Extract.Status.READY:
                return extract
            if extract.status == Extract.Status.FAILED:
                raise CommandError("The extract failed; the unblinded worker's log says why.")
            time.sleep(0.1)
        raise CommandError(f"The extract was not ready within {SECONDS_TO_WAIT} seconds.")
