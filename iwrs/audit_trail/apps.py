from django.apps import AppConfig


class AuditTrailConfig(AppConfig):
    name = "iwrs.audit_trail"
    label = "audit"
    default_auto_field = "django.db.models.BigAutoField"
