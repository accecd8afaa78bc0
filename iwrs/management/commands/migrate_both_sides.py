"""`manage.py migrate_both_sides`: run every migration, as `iwrs_owner`."""

from collections.abc import Set
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from iwrs.accounts.router import TWICE

# They need no table of the rooms.
FOUNDATION = TWICE | {"auth", "contenttypes", "oauth2_provider", "pghistory"}


class Command(BaseCommand):
    help = "Migrate the rooms' tables, then the accounts of unblinded staff in their own schema."

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.SIDE != "owner":
            raise CommandError(
                "Only iwrs_owner may migrate. Set IWRS_SIDE=owner and the owner's DATABASE_URL."
            )
        common = {"interactive": False, "verbosity": options["verbosity"]}
        migrate_first("default", FOUNDATION)
        call_command("migrate", **common)
        # The second alias has tables of these apps only (its router says so): for all others
        # there is nothing to run, and they are noted as applied.
        migrate_first("accounts_unblinded", TWICE)
        call_command("migrate", database="accounts_unblinded", fake=True, **common)


def migrate_first(alias: str, labels: Set[str]) -> None:
    """Run all migrations of the apps `labels`, and those that they depend on.

    After each change Django builds anew every model that is joined to the changed one by foreign
    keys, however far. Without the rooms' models that is a few, not a hundred and fifty: a new
    database takes a third of the time.
    """
    executor = MigrationExecutor(connections[alias])
    executor.loader.check_consistent_history(connections[alias])
    executor.migrate([leaf for leaf in executor.loader.graph.leaf_nodes() if leaf[0] in labels])
