"""Room 4: what happens every six weeks. Visits, tumour reads, events."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from dispensing.models import Dispensation
from enrolment.models import Subject
from iwrs.audit import audited
from iwrs.standing import Recorded


@audited
class Visit(models.Model):
    """One planned assessment. Counted from randomization; kept when a drug is stopped."""

    class Status(models.TextChoices):
        PLANNED = "planned", "Planned"
        DUE = "due", "Due"
        OVERDUE = "overdue", "Overdue"
        DONE = "done", "Done"
        MISSED = "missed", "Missed"
        CANCELLED = "cancelled", "No longer needed"

    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="visits")
    number = models.PositiveSmallIntegerField()
    due_on = models.DateField()
    window_from = models.DateField()
    window_to = models.DateField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PLANNED)
    done_on = models.DateField(null=True, blank=True)
    dispensation = models.OneToOneField(
        Dispensation, on_delete=models.PROTECT, related_name="visit", null=True, blank=True
    )
    ecog = models.PositiveSmallIntegerField(null=True, blank=True)
    quality_of_life = models.DecimalField(max_digits=5, decimal_places=2, null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint("subject", "number", name="visit_number_once"),
            models.CheckConstraint(
                name="done_visit_has_date",
                condition=Q(status="done", done_on__isnull=False)
                | ~Q(status="done") & Q(done_on__isnull=True),
            ),
        ]
        indexes = [
            models.Index("window_from", condition=Q(status="planned"), name="visit_becomes_due"),
            models.Index("window_to", condition=Q(status="due"), name="visit_becomes_overdue"),
            models.Index("subject", "status", name="visit_by_subject"),
        ]
        ordering = ["number"]

    def __str__(self) -> str:
        return f"{self.subject_id} visit {self.number}"


@audited
class TumourRead(Recorded):
    """The overall response that one reader gave for one scan (RECIST 1.0)."""

    class Reader(models.TextChoices):
        LOCAL = "local", "Local investigator"
        CENTRAL = "central", "Central radiology"

    class Response(models.TextChoices):
        CR = "CR", "Complete response"
        PR = "PR", "Partial response"
        SD = "SD", "Stable disease"
        PD = "PD", "Progressive disease"
        NE = "NE", "Not evaluable"

    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="reads")
    visit = models.ForeignKey(
        Visit, on_delete=models.PROTECT, related_name="reads", null=True, blank=True
    )
    reader = models.CharField(max_length=7, choices=Reader.choices)
    assessed_on = models.DateField(help_text="Day of the scan.")
    response = models.CharField(max_length=2, choices=Response.choices)
    read_on = models.DateField(help_text="Day on which the reader decided.")
    recorded_by = models.CharField(max_length=200)
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subject", "reader", "assessed_on"],
                condition=Q(in_error=False),
                name="one_read_per_scan_and_reader",
            )
        ]

    def __str__(self) -> str:
        return f"{self.subject_id} {self.assessed_on} {self.reader} {self.response}"


@audited
class SubjectEvent(Recorded):
    """Something that happens once to a subject and matters for an end point."""

    class Kind(models.TextChoices):
        NEW_THERAPY = "new_therapy", "New anticancer therapy started"
        WITHDRAWAL = "withdrawal", "Withdrawal of consent"
        DEATH = "death", "Death"
        LOST = "lost", "Lost to follow-up"

    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="events")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    occurred_on = models.DateField()
    detail = models.CharField(max_length=300, blank=True)
    recorded_by = models.CharField(max_length=200)
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subject", "kind"], condition=Q(in_error=False), name="event_kind_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.subject_id} {self.kind} {self.occurred_on}"


@audited
class Contact(Recorded):
    """A day on which the subject was known to be alive."""

    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="contacts")
    contact_on = models.DateField()
    recorded_by = models.CharField(max_length=200)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subject", "contact_on"],
                condition=Q(in_error=False),
                name="contact_day_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.subject_id} {self.contact_on}"


@audited
class Correction(models.Model):
    """A recorded fact that was wrong: what stood there, and what stands there now. Never changed.

    `was` and `now` hold the fields that were changed, by name, and `told` is `was` in the words of
    then. A fact that is taken back keeps its values; `now` is empty then.
    """

    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="corrections")
    fact = models.CharField(max_length=20, help_text="Key in assessments.corrections.facts.")
    record = models.PositiveBigIntegerField(help_text="Key of the row that was corrected.")
    name = models.CharField(max_length=120, help_text="What the fact is called, as it was.")
    was = models.JSONField()
    now = models.JSONField()
    told = models.JSONField(default=list, help_text="What stood there: question and answer.")
    in_error = models.BooleanField(default=False, help_text="The fact was taken back.")
    reason = models.TextField()
    corrected_by = models.CharField(max_length=200)
    corrected_at = models.DateTimeField(help_text="Business time.")
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(name="correction_has_reason", condition=~Q(reason="")),
            models.CheckConstraint(
                name="correction_changes_or_takes_back",
                condition=Q(in_error=True, now={}) | Q(in_error=False) & ~Q(now={}),
            ),
        ]
        indexes = [models.Index("subject", "fact", "record", name="correction_of_fact")]
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.subject_id} {self.name}"
