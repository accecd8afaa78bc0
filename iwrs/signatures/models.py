"""Signatures and the tries to sign. Both tables exist twice, like accounts: in `public` for blinded
people, in `unblinded` for unblinded staff. The search path of the process chooses.
"""

from django.db import models
from django.db.models.functions import Now

from iwrs.accounts.models import User


class SignedRecord(models.Model):
    """One signature, bound to one record as it was when it was signed (21 CFR 11.50, 11.70).

    Written once. The database sets the time, checks the hash against the text, and the kind and
    key against both; no login of the application may change or delete a row.
    """

    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="signatures")
    printed_name = models.CharField(max_length=120)
    role = models.CharField(max_length=30)
    meaning = models.CharField(max_length=300)
    study_code = models.SlugField(max_length=40)
    record_kind = models.CharField(max_length=40)
    record_pk = models.BigIntegerField()
    canonical = models.TextField(help_text="The record as it was signed.")
    sha256 = models.CharField(max_length=64, help_text="Of the canonical text.")
    shown_sha256 = models.CharField(
        max_length=64, blank=True, db_default="", help_text="Of the record that the page showed."
    )
    time_zone = models.CharField(max_length=50, help_text="Where it was signed.")
    signed_at = models.DateTimeField(db_default=Now(), help_text="The database's clock.")
    of_request = models.UUIDField(null=True, help_text="The same for all that one request did.")

    class Meta:
        indexes = [
            models.Index("record_kind", "record_pk", name="signature_of_record"),
            models.Index("signed_at", "id", name="signature_by_time"),
        ]

    def __str__(self) -> str:
        return f"{self.printed_name}: {self.meaning}"


class SigningState(models.Model):
    """Wrong tries of one person to sign, and until when signing is locked (database clock)."""

    user = models.OneToOneField(
        User, on_delete=models.PROTECT, related_name="signing", primary_key=True
    )
    failures = models.PositiveSmallIntegerField(default=0)
    locks = models.PositiveIntegerField(default=0, help_text="How often signing was locked.")
    locked_until = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.user_id}: {self.failures}"
