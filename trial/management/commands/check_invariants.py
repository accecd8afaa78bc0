"""`manage.py check_invariants`: look for contradictions in the data of this side."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from trial.invariants import contradictions


class Command(BaseCommand):
    help = "Look for rows that contradict each other; changes nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        found = contradictions()
        for each in found:
            self.stderr.write(each)
        if found:
            raise CommandError(f"{len(found)} of the invariants do not hold.")
        self.stdout.write("No contradictions.")
