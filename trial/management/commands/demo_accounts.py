"""`manage.py demo_accounts`: the demonstration's accounts of the side it runs on."""

import argparse
import os
from datetime import date
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from enrolment.models import Centre
from enrolment.services import give_centre_role
from iwrs.accounts.models import Role, StudyRole, User
from iwrs.actors import SYSTEM
from iwrs.models import Study
from trial.demo.cast import BLINDED, UNBLINDED, Person

SINCE = date(2009, 1, 1)


class Command(BaseCommand):
    help = "Make the demonstration's accounts. Only a simulated study accepts them."
    requires_system_checks = []  # one of many short steps of the demonstration

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("study")

    def handle(self, *args: Any, **options: Any) -> None:
        study = Study.objects.get(code=options["study"])
        if not study.simulated:
            raise CommandError("Demo accounts are for a simulated study only.")
        password = os.environ.get("IWRS_DEMO_WORD", "")
        if len(password) < 12:
            raise CommandError("Give IWRS_DEMO_WORD: at least 12 characters, for all accounts.")
        if settings.SIDE == "unblinded":
            for person in UNBLINDED:
                self._study_role(person, study, password)
            return
        centres = list(study.centres.order_by("number"))
        for person in BLINDED:
            if person.centre:
                self._centre_role(person, centres, password)
            else:
                self._study_role(person, study, password)
        self._coordinators(centres)

    def _account(self, person: Person, password: str) -> User:
        known = User.objects.filter(email=person.email).first()
        return known or User.objects.create_user(person.email, name=person.name, password=password)

    def _study_role(self, person: Person, study: Study, password: str) -> None:
        StudyRole.objects.get_or_create(
            user=self._account(person, password),
            study_code=study.code,
            role=person.role,
            defaults={"since": SINCE},
        )

    def _centre_role(self, person: Person, centres: list[Centre], password: str) -> None:
        chosen = person.centre.format(first=centres[0].number, second=centres[1].number)
        centre = next(c for c in centres if c.number == chosen)
        user = self._account(person, password)
        give_centre_role(user, centre, person.role, by=SYSTEM, since=SINCE)

    def _coordinators(self, centres: list[Centre]) -> None:
        """One coordinator at every centre, who receives reminders but cannot sign in."""
        for centre in centres:
            if centre.roles.exists():
                continue
            user = User.objects.create_user(
                f"site{centre.number}@example.org", name=f"Coordinator {centre.number}"
            )
            give_centre_role(user, centre, Role.SITE_COORDINATOR, by=SYSTEM, since=SINCE)
