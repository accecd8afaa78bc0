from django.apps import AppConfig


class SignaturesConfig(AppConfig):
    name = "iwrs.signatures"
    label = "signatures"
    default_auto_field = "django.db.models.BigAutoField"
