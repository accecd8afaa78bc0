from django.apps import AppConfig
from django.db.models.signals import post_migrate


class IwrsConfig(AppConfig):
    name = "iwrs"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from iwrs.hardening import harden

        post_migrate.connect(harden, sender=self, dispatch_uid="iwrs.harden")
