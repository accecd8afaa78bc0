"""To whom packages are sealed. Here, so that nobody on the blinded side can add a key."""

from django.db import models

from iwrs.audit import audited
from iwrs.models import Study


@audited
class RecipientKey(models.Model):
    """The public age key of one recipient of one study."""

    study = models.ForeignKey(Study, on_delete=models.DO_NOTHING, related_name="+")
    recipient = models.CharField(max_length=40)
    public_key = models.CharField(max_length=100)
    registered_by = models.CharField(max_length=200)
    registered_at = models.DateTimeField()

    class Meta:
        db_table = 'unblinded"."recipient_key'
        constraints = [models.UniqueConstraint("study", "recipient", name="one_key_per_recipient")]

    def __str__(self) -> str:
        return f"{self.recipient}"
