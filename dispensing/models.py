"""Room 3, the blinded part: kits by number, cover cohorts, dispensations.

A kit here has a number, a packaging lot and an expiry shared by both arms. What is inside it is
in `dispensing/unblinded/models.py`.
"""

import pgtrigger
from django.db import models
from django.db.models import Q

from dispensing.unblinded import models as unblinded_models  # noqa: F401  registers the tables
from enrolment.models import Centre, Subject
from iwrs.actors import CLIENT
from iwrs.audit import audited
from iwrs.models import Study
from iwrs.standing import Recorded


@audited
class Lot(models.Model):
    """A packaging lot. Each lot holds kits of every arm, so that it tells nothing."""

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="lots")
    number = models.CharField(max_length=40)
    expires_on = models.DateField(help_text="Last day on which a kit may be dispensed.")

    class Meta:
        constraints = [models.UniqueConstraint("study", "number", name="lot_number_once")]

    def __str__(self) -> str:
        return self.number


@audited
class Cohort(models.Model):
    """Cover for new randomizations: serves exactly its next `size` randomizations at a centre.

    It holds at least `size` kits of every arm; afterwards its leftovers are retired. `served`
    counts randomizations, a blinded fact, so what a centre can do depends on blinded counts only.
    """

    centre = models.ForeignKey(Centre, on_delete=models.PROTECT, related_name="cohorts")
    lot = models.ForeignKey(Lot, on_delete=models.PROTECT, related_name="cohorts")
    size = models.PositiveSmallIntegerField()
    served = models.PositiveSmallIntegerField(default=0)
    received_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="cohort_serves_its_size",
                condition=Q(served__lte=models.F("size")),
            )
        ]
        indexes = [models.Index("centre", "received_at", name="cohort_by_centre")]

    def __str__(self) -> str:
        return f"{self.centre_id}: {self.served} of {self.size}"


@audited
class Kit(models.Model):
    """A numbered box of blinded drug. Seven digits: see `dispensing.kit_number`."""

    class Status(models.TextChoices):
        IN_DEPOT = "in_depot", "In the depot"
        AT_CENTRE = "at_centre", "At the centre"
        ASSIGNED = "assigned", "Assigned to a subject"
        RETIRED = "retired", "Retired"

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="kits")
    number = models.CharField(max_length=7)
    lot = models.ForeignKey(Lot, on_delete=models.PROTECT, related_name="kits")
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.IN_DEPOT)
    centre = models.ForeignKey(
        Centre, on_delete=models.PROTECT, related_name="kits", null=True, blank=True
    )

    class Meta:
        constraints = [
            models.UniqueConstraint("study", "number", name="kit_number_once"),
            models.CheckConstraint(
                name="kit_in_depot_or_at_centre",
                condition=Q(status="in_depot", centre__isnull=True)
                | Q(status="retired")
                | Q(status__in=["at_centre", "assigned"], centre__isnull=False),
            ),
        ]
        indexes = [models.Index("centre", "status", name="kit_by_centre")]

    def __str__(self) -> str:
        return self.number

    @property
    def grouped(self) -> str:
        """The number as people read it aloud: 123 456 7."""
        return f"{self.number[:3]} {self.number[3:6]} {self.number[6:]}"


@audited
class Dispensation(models.Model):
    """One planned supply of blinded drug to one subject, and the three facts that follow it.

    A kit assigned, a kit handed over and a dose taken are three facts: not everyone who was
    randomized took the drug. `kit` is written by the gate only.
    """

    class Status(models.TextChoices):
        PLANNED = "planned", "Planned"
        ASSIGNED = "assigned", "Kit assigned"
        HANDED_OVER = "handed_over", "Handed over"
        CANCELLED = "cancelled", "Cancelled"

    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="dispensations")
    number = models.PositiveSmallIntegerField(help_text="0 at randomization, then by visit.")
    due_on = models.DateField()
    earliest_on = models.DateField()
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.PLANNED)
    kit = models.OneToOneField(
        Kit, on_delete=models.PROTECT, related_name="dispensation", null=True, blank=True
    )
    assigned_at = models.DateTimeField(null=True, blank=True)
    handed_over_on = models.DateField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint("subject", "number", name="dispensation_number_once"),
            models.CheckConstraint(
                name="dispensation_facts_in_order",
                condition=Q(
                    status__in=["planned", "cancelled"],
                    kit__isnull=True,
                    handed_over_on__isnull=True,
                )
                | Q(status="assigned", kit__isnull=False, handed_over_on__isnull=True)
                | Q(status="handed_over", kit__isnull=False, handed_over_on__isnull=False),
            ),
        ]
        indexes = [
            models.Index("due_on", condition=Q(status="planned"), name="dispensation_planned")
        ]
        ordering = ["number"]
        triggers = [
            pgtrigger.Trigger(
                name="kit_by_gate_only",
                operation=pgtrigger.Insert | pgtrigger.Update,
                when=pgtrigger.Before,
                func="""
                    IF NEW.kit_id IS NOT NULL AND current_user <> 'iwrs_owner'
                       AND (TG_OP = 'INSERT' OR NEW.kit_id IS DISTINCT FROM OLD.kit_id) THEN
                        RAISE EXCEPTION 'only the gate assigns a kit' USING ERRCODE = '42501';
                    END IF;
                    RETURN NEW;
                """,
            )
        ]

    def __str__(self) -> str:
        return f"{self.subject_id} dispensation {self.number}"


@audited
class FirstDose(Recorded):
    """The day on which a subject first took the blinded drug: makes the safety set."""

    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="first_doses")
    taken_on = models.DateField()
    recorded_by = models.CharField(max_length=200)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subject"], condition=Q(in_error=False), name="one_first_dose"
            )
        ]

    def __str__(self) -> str:
        return f"{self.subject_id} {self.taken_on}"


@audited
class DrugStop(Recorded):
    """A permanent stop of one of the drugs. Stopping a drug is not leaving the study."""

    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="drug_stops")
    drug = models.CharField(max_length=40)
    stopped_on = models.DateField()
    reason = models.CharField(max_length=40)
    recorded_by = models.CharField(max_length=200)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subject", "drug"], condition=Q(in_error=False), name="one_stop_per_drug"
            )
        ]

    def __str__(self) -> str:
        return f"{self.subject_id} stopped {self.drug}"


@audited
class DoseReduction(Recorded):
    """One dose level down. Blinded: the tablets of both arms look alike, and so do the levels."""

    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="dose_reductions")
    drug = models.CharField(max_length=40)
    level = models.CharField(max_length=40, help_text="Key of the new level in the study.")
    reduced_on = models.DateField()
    reason = models.CharField(max_length=300)
    recorded_by = models.CharField(max_length=200)
    recorded_at = models.DateTimeField(auto_now_add=True)
    confirmed_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When an investigator signed what an EDC system recorded. Business time.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subject", "drug", "level"],
                condition=Q(in_error=False),
                name="one_reduction_per_level",
            ),
            models.CheckConstraint(name="reduction_has_reason", condition=~Q(reason="")),
            models.CheckConstraint(
                name="reduction_confirmed_if_reported",
                condition=Q(confirmed_at=None) | Q(recorded_by__startswith=CLIENT),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subject_id} {self.drug} {self.level}"


class SupplyRun(models.Model):
    """A request that the unblinded worker looks at what centres need and sends it.

    A row, not a message: Redis only wakes the worker. It holds blinded counts alone.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", "Queued"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="supply_runs")
    as_of = models.DateTimeField(help_text="Business time of the run.")
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.QUEUED)
    requested_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index("id", condition=Q(status="queued"), name="supply_run_waiting")]

    def __str__(self) -> str:
        return f"{self.study_id} {self.as_of:%Y-%m-%d} {self.status}"
