"""`manage.py permissions`: the page docs/permissions.md, from the tables in code."""

from typing import Any

from django.core.management.base import BaseCommand

from trial.permissions_page import permissions_page


class Command(BaseCommand):
    help = "Print docs/permissions.md from iwrs/permissions.py and trial/doors.py."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(permissions_page(), ending="")
