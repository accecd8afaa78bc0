"""`manage.py migrate_both_sides`: run every migration, as `iwrs_owner`."""

from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Migrate the rooms' tables, then the accounts of unblinded staff in their own schema."

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.SIDE != "owner":
            raise CommandError(
                "Only iwrs_owner may migrate. Set IWRS_SIDE=owner and the owner's DATABASE_URL."
            )
        call_command("migrate", interactive=False, verbosity=options["verbosity"])
        call_command(
            "migrate",
            database="accounts_unblinded",
            interactive=False,
            verbosity=options["verbosity"],
        )
