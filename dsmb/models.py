"""Room 5: what leaves, to whom. Data cuts, sealed extracts and sealed code-break packs, seen from
the blinded side.
"""

import pgtrigger
from django.db import models
from django.db.models import Q

from dsmb.unblinded import models as unblinded_models  # noqa: F401  registers the tables
from enrolment.models import Centre
from iwrs.audit import audited, audited_fields
from iwrs.models import Study


@audited
class InterimNotice(models.Model):
    """The planned number of events was reached. Overall only; never by arm."""

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="interim_notices")
    look = models.PositiveSmallIntegerField()
    planned_events = models.PositiveIntegerField()
    events = models.PositiveIntegerField()
    noticed_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint("study", "look", name="one_notice_per_look")]

    def __str__(self) -> str:
        return f"{self.study_id} look {self.look}"


@audited
class DataCut(models.Model):
    """The act of fixing a date: what happened up to it is analysed, what came later is not."""

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="data_cuts")
    cut_on = models.DateField()
    reason = models.TextField()
    made_by = models.CharField(max_length=200)
    made_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint("study", "cut_on", name="one_cut_per_date")]
        ordering = ["-cut_on"]
        triggers = [
            pgtrigger.Trigger(
                name="never_of_training",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                func="""
                    IF EXISTS (SELECT 1 FROM public.iwrs_study s
                                WHERE s.id = NEW.study_id AND s.training) THEN
                        RAISE EXCEPTION USING ERRCODE = '23514',
                            MESSAGE = 'a study for training is not analysed';
                    END IF;
                    RETURN NEW;
                """,
            )
        ]

    def __str__(self) -> str:
        return f"{self.cut_on}"


@audited
class Extract(models.Model):
    """A sealed package for named recipients. The requester sees this row and nothing more."""

    class Status(models.TextChoices):
        QUEUED = "queued", "Queued"
        BUILDING = "building", "Building"
        READY = "ready", "Ready"
        FAILED = "failed", "Failed"
        RELEASED = "released", "Released"

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="extracts")
    cut = models.ForeignKey(DataCut, on_delete=models.PROTECT, related_name="extracts")
    recipient = models.CharField(max_length=40)
    reason = models.TextField()
    requested_by = models.CharField(max_length=200)
    requested_at = models.DateTimeField()
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.QUEUED)
    size = models.PositiveIntegerField(null=True, blank=True)
    sha256 = models.CharField(max_length=64, blank=True, help_text="Of the sealed file.")
    sealed = models.BinaryField(null=True, blank=True, editable=False)
    building_since = models.DateTimeField(
        null=True, blank=True, help_text="When a worker took it; a killed worker's is taken again."
    )
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="finished_extract_is_whole",
                condition=Q(
                    status__in=["ready", "released"],
                    size__isnull=False,
                    sealed__isnull=False,
                    finished_at__isnull=False,
                )
                | Q(status__in=["queued", "building", "failed"], sealed__isnull=True),
            )
        ]
        indexes = [
            models.Index(
                "id", condition=Q(status__in=["queued", "building"]), name="extract_unfinished"
            )
        ]
        triggers = [
            # The side that asks may not also answer: a row starts as a request.
            pgtrigger.Protect(
                name="starts_as_request",
                operation=pgtrigger.Insert,
                condition=~pgtrigger.Q(new__status="queued"),
            )
        ]
        ordering = ["-requested_at"]

    def __str__(self) -> str:
        return f"Extract {self.pk} of {self.study_id}"


@audited_fields("centre", "made_at", "subjects", "kits", "size", "sha256", "keys_sha256")
class SealedPack(models.Model):
    """The sealed code-break pack of one centre, for the day on which the system is down.

    Written once, by the unblinded side. What it shows are blinded facts: how many randomizations
    and kits it covers, and a size that is the same for all centres of the study.
    """

    centre = models.ForeignKey(Centre, on_delete=models.PROTECT, related_name="packs")
    made_at = models.DateTimeField(help_text="Business time. What came later is not in it.")
    subjects = models.PositiveIntegerField(help_text="Randomized subjects of the centre in it.")
    kits = models.PositiveIntegerField(help_text="Assigned kits of the centre in it.")
    size = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64, help_text="Of the sealed file.")
    keys_sha256 = models.CharField(max_length=64, help_text="Of the public keys that open it.")
    sealed = models.BinaryField(editable=False)

    class Meta:
        indexes = [models.Index("centre", models.F("id").desc(), name="pack_newest")]

    def __str__(self) -> str:
        return f"Pack {self.pk} of {self.centre_id}"


@audited_fields(
    "study", "made_at", "list_number", "subjects", "size", "sha256", "keys_sha256", "facts_sha256"
)
class PaperPack(models.Model):
    """The sealed randomization pack of one study: the next places, for when the system is down.

    Written once, by the unblinded side; the file of an old one is emptied, its hash stays. What it
    shows are blinded facts, and a size that hangs on the number of strata and centres and on the
    longest label.
    """

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="paper_packs")
    made_at = models.DateTimeField(help_text="Business time. Places used later are still in it.")
    list_number = models.PositiveIntegerField(help_text="Of the list in use at that time.")
    subjects = models.PositiveIntegerField(help_text="Randomized in the study at that time.")
    size = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=64, help_text="Of the sealed file.")
    keys_sha256 = models.CharField(max_length=64, help_text="Of the public keys that open it.")
    facts_sha256 = models.CharField(max_length=64, help_text="Of the blinded facts it rests on.")
    sealed = models.BinaryField(editable=False)

    class Meta:
        indexes = [models.Index("study", models.F("id").desc(), name="paper_pack_newest")]

    def __str__(self) -> str:
        return f"Paper {self.pk} of {self.study_id}"
