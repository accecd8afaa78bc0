"""The seals over the audit trail, who looked at it, and who reviewed it.

The tables exist twice. `public` holds the chain of the blinded side, `unblinded` that of the
unblinded side: no login reads both histories, so no login could seal both in one. The search path
of the process chooses. Only `seal_history` (see `iwrs/sql/seal.sql`) writes the seals; it runs as
the owner.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class Batch(models.Model):
    """What was sealed at one moment. `chain` covers the root and the chain before it."""

    number = models.BigIntegerField(primary_key=True)
    sealed_at = models.DateTimeField(help_text="The database's clock.")
    complete = models.BooleanField(help_text="No row that was there at that moment was left out.")
    rows = models.PositiveIntegerField()
    root = models.BinaryField(help_text="Merkle root over the batch's segments, 32 bytes.")
    chain = models.BinaryField(help_text="SHA-256 of this batch and the chain before, 32 bytes.")

    class Meta:
        db_table = "audit_batch"

    def __str__(self) -> str:
        return f"Batch {self.number}: {self.rows} rows"


class Segment(models.Model):
    """The rows of one table in a batch: their keys and, in the same order, their leaf hashes.

    A leaf covers the columns that the table had when it was sealed, so that a column added later
    changes no seal. `complete_to` says up to which key nothing can come any more: every row up to
    it is sealed, and keys that are missing were given to acts that failed.
    """

    batch = models.ForeignKey(Batch, on_delete=models.PROTECT, related_name="segments")
    place = models.PositiveSmallIntegerField(help_text="Order within the batch, from 0.")
    table_name = models.CharField(max_length=63)
    columns = ArrayField(models.CharField(max_length=63))
    ids = ArrayField(models.BigIntegerField())
    leaves = models.BinaryField(help_text="32 bytes for each key.")
    root = models.BinaryField(help_text="Merkle root over the leaves, 32 bytes.")
    last_id = models.BigIntegerField()
    complete_to = models.BigIntegerField()

    class Meta:
        db_table = "audit_segment"
        constraints = [models.UniqueConstraint("batch", "place", name="audit_segment_place_once")]
        indexes = [models.Index("table_name", "last_id", name="audit_segment_by_table")]

    def __str__(self) -> str:
        return f"{self.table_name} in batch {self.batch_id}"


class Mark(models.Model):
    """How far each table is sealed, and the last batch with rows of it: the sealing's bookmark.

    Keys are given before the commit, so a lower key may become visible after a higher one. `seen`
    is the highest key at some moment and `seen_before` the first transaction that began after it:
    when all earlier ones have ended, nothing up to `seen` can come any more.
    """

    table_name = models.CharField(max_length=63, primary_key=True)
    complete_to = models.BigIntegerField()
    seen = models.BigIntegerField()
    seen_before = models.BigIntegerField()
    seen_at = models.DateTimeField()
    batch = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        db_table = "audit_mark"

    def __str__(self) -> str:
        return f"{self.table_name} up to {self.complete_to}"


class Access(models.Model):
    """A look at a sensitive page, or a copy taken. Its own record: written once, then sealed."""

    study_code = models.SlugField(max_length=40)
    by = models.CharField(max_length=200)
    account = models.CharField(max_length=20, help_text="Key of the account.")
    role = models.CharField(max_length=30, blank=True)
    page = models.CharField(max_length=100)
    about = models.CharField(max_length=500, blank=True, help_text="Of whom, or narrowed to what.")
    copied = models.BooleanField(default=False)
    at = models.DateTimeField(db_default=Now(), help_text="The database's clock.")
    of_request = models.UUIDField(null=True, help_text="The same for all that one request did.")

    class Meta:
        db_table = "audit_access"
        indexes = [models.Index("at", "id", name="audit_access_by_time")]

    def __str__(self) -> str:
        return f"{self.by}: {self.page}"


class Review(models.Model):
    """A period of the trail that a person has reviewed. Its own record: written once, then sealed.

    The seal named is the last one at that moment: what it covers is what could be seen.
    """

    study_code = models.SlugField(max_length=40)
    since = models.DateTimeField()
    until = models.DateTimeField(help_text="Not included.")
    notes = models.TextField()
    by = models.CharField(max_length=200)
    account = models.CharField(max_length=20, help_text="Key of the account.")
    role = models.CharField(max_length=30, blank=True)
    sealed_batch = models.BigIntegerField(null=True)
    sealed_chain = models.CharField(max_length=64, blank=True)
    at = models.DateTimeField(db_default=Now(), help_text="The database's clock.")
    of_request = models.UUIDField(null=True, help_text="The same for all that one request did.")

    class Meta:
        db_table = "audit_review"
        constraints = [
            models.UniqueConstraint("study_code", "since", name="audit_review_once"),
            models.CheckConstraint(
                name="audit_review_has_days", condition=models.Q(until__gt=models.F("since"))
            ),
        ]
        indexes = [models.Index("at", "id", name="audit_review_by_time")]

    def __str__(self) -> str:
        return f"{self.study_code} {self.since:%Y-%m-%d} to {self.until:%Y-%m-%d}"
