"""What is inside a kit, and which kit serves whom. Schema `unblinded`."""

from django.db import models

from iwrs.audit import audited
from iwrs.models import Study


class KitImport(models.Model):
    """One accepted file of kits. A file is imported whole or not at all."""

    study = models.ForeignKey(Study, on_delete=models.DO_NOTHING, related_name="+")
    file_name = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    kits = models.PositiveIntegerField()
    imported_by = models.CharField(max_length=200)
    imported_at = models.DateTimeField()

    class Meta:
        db_table = 'unblinded"."kit_import'

    def __str__(self) -> str:
        return f"{self.file_name}: {self.kits} kits"


@audited
class KitContent(models.Model):
    """The arm that a kit is for. `rank` orders the depot's picking and is frozen at import."""

    kit = models.OneToOneField(
        "dispensing.Kit", on_delete=models.DO_NOTHING, related_name="+", primary_key=True
    )
    study = models.ForeignKey(Study, on_delete=models.DO_NOTHING, related_name="+")
    lot = models.ForeignKey("dispensing.Lot", on_delete=models.DO_NOTHING, related_name="+")
    arm = models.CharField(max_length=8)
    rank = models.PositiveIntegerField()
    sent = models.BooleanField(default=False, help_text="Left the depot.")

    class Meta:
        db_table = 'unblinded"."kit_content'
        indexes = [
            models.Index(
                fields=["lot", "rank"],
                include=["arm", "kit"],
                condition=models.Q(sent=False),
                name="kit_content_place",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kit_id}"


class CoverKit(models.Model):
    """The kit of one arm for one position of a cohort.

    The j-th randomization that a cohort serves takes the kit of its arm at position j. Every
    arm has a kit at every position, so nothing that anyone sees depends on the arm.
    """

    cohort = models.ForeignKey("dispensing.Cohort", on_delete=models.DO_NOTHING, related_name="+")
    position = models.PositiveSmallIntegerField()
    arm = models.CharField(max_length=8)
    kit = models.OneToOneField("dispensing.Kit", on_delete=models.DO_NOTHING, related_name="+")

    class Meta:
        db_table = 'unblinded"."cover_kit'
        constraints = [
            models.UniqueConstraint("cohort", "position", "arm", name="one_kit_per_position")
        ]

    def __str__(self) -> str:
        return f"{self.cohort_id}/{self.position}"


@audited
class VisitKit(models.Model):
    """The kit sent for one planned dispensation of a randomized subject.

    A kit that was retired before its visit is replaced in the same row; history keeps the first.
    """

    dispensation = models.OneToOneField(
        "dispensing.Dispensation", on_delete=models.DO_NOTHING, related_name="+", primary_key=True
    )
    kit = models.OneToOneField("dispensing.Kit", on_delete=models.DO_NOTHING, related_name="+")
    sent_at = models.DateTimeField()

    class Meta:
        db_table = 'unblinded"."visit_kit'

    def __str__(self) -> str:
        return f"{self.dispensation_id}"


@audited
class PaperKit(models.Model):
    """The kit that a subject was told on paper, kept for that subject's first dispensation.

    Only of a place of cover that served nobody, and the counter of its cohort is past it: so no
    other call of the gate comes upon it. Written once, by unblinded staff.
    """

    subject = models.OneToOneField(
        "enrolment.Subject", on_delete=models.DO_NOTHING, related_name="+", primary_key=True
    )
    kit = models.OneToOneField("dispensing.Kit", on_delete=models.DO_NOTHING, related_name="+")

    class Meta:
        db_table = 'unblinded"."paper_kit'

    def __str__(self) -> str:
        return f"{self.subject_id}"


class CentreCalls(models.Model):
    """Completed kit assignments of a centre, beside a sequence that counts every attempt."""

    centre = models.OneToOneField(
        "enrolment.Centre", on_delete=models.DO_NOTHING, related_name="+", primary_key=True
    )
    completed = models.PositiveIntegerField(default=0)
    released_calls = models.PositiveIntegerField(default=0)

    class Meta:
        db_table = 'unblinded"."centre_calls'

    def __str__(self) -> str:
        return f"{self.centre_id}: {self.completed}"


@audited
class KitAssignment(models.Model):
    """A kit given to a subject. `transaction` lets the gate give one per subject and act."""

    dispensation = models.OneToOneField(
        "dispensing.Dispensation", on_delete=models.DO_NOTHING, related_name="+", primary_key=True
    )
    subject = models.ForeignKey("enrolment.Subject", on_delete=models.DO_NOTHING, related_name="+")
    kit = models.OneToOneField("dispensing.Kit", on_delete=models.DO_NOTHING, related_name="+")
    transaction = models.BigIntegerField()

    class Meta:
        db_table = 'unblinded"."kit_assignment'
        constraints = [
            models.UniqueConstraint("subject", "transaction", name="one_kit_per_subject_and_act")
        ]

    def __str__(self) -> str:
        return f"{self.dispensation_id}"
