"""`manage.py deliver_letters`: send every letter that is due, now, instead of minute by minute."""

from typing import Any

from django.core.management.base import BaseCommand

from iwrs import outbox

AT_ONCE = 500


class Command(BaseCommand):
    help = "Send all letters that are due. The worker does the same, some each minute."
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        sent = 0
        while some := outbox.deliver_due(limit=AT_ONCE):
            sent += some
        self.stdout.write(f"{sent} letters sent.")
