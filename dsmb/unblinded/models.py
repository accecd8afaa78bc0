"""To whom packages and packs are sealed. Here, so that nobody on the blinded side adds a key.
And the random codes by which a randomization on paper is recognized when it is entered.
"""

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


@audited
class EmergencyHolder(models.Model):
    """Who can open the sealed code-break packs of a study when the system is down.

    A person of no other duty in the study, or a duty desk. Never changed; ended when replaced.
    """

    study = models.ForeignKey(Study, on_delete=models.DO_NOTHING, related_name="+")
    name = models.CharField(max_length=200)
    who = models.CharField(max_length=300, help_text="Duty, organization and telephone.")
    public_key = models.CharField(max_length=100)
    registered_by = models.CharField(max_length=200)
    registered_at = models.DateTimeField()
    ended_by = models.CharField(max_length=200, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = 'unblinded"."emergency_holder'
        constraints = [
            models.UniqueConstraint(
                "study",
                "public_key",
                condition=models.Q(ended_at=None),
                name="one_holder_for_a_key",
            ),
            models.CheckConstraint(
                name="holder_is_ended_by_somebody",
                condition=models.Q(ended_at=None, ended_by="")
                | models.Q(ended_at__isnull=False) & ~models.Q(ended_by=""),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class PaperPlace(models.Model):
    """The code of one place of a list in the randomization packs. Written once, at random.

    A later pack keeps the code of a place that was not used. Nobody's arm moves it.
    """

    entry = models.OneToOneField(
        "randomization.ListEntry", on_delete=models.DO_NOTHING, related_name="+"
    )
    code = models.CharField(max_length=4)

    class Meta:
        db_table = 'unblinded"."paper_place'
        indexes = [models.Index("code", name="paper_place_by_code")]

    def __str__(self) -> str:
        return f"{self.entry_id}"


class PaperCover(models.Model):
    """The code of one position of a cover cohort in the randomization packs. Written once."""

    cohort = models.ForeignKey("dispensing.Cohort", on_delete=models.DO_NOTHING, related_name="+")
    position = models.PositiveSmallIntegerField()
    code = models.CharField(max_length=4)

    class Meta:
        db_table = 'unblinded"."paper_cover'
        constraints = [
            models.UniqueConstraint("cohort", "position", name="one_paper_code_per_position")
        ]
        indexes = [models.Index("code", name="paper_cover_by_code")]

    def __str__(self) -> str:
        return f"{self.cohort_id}/{self.position}"
