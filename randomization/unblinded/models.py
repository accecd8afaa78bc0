"""The list and who got which arm. Schema `unblinded`: `iwrs_blinded` has no privilege here."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from enrolment.models import Subject
from iwrs.audit import audited
from iwrs.models import Study


@audited
class RandomizationList(models.Model):
    """One list of one study, from seed to use."""

    class Status(models.TextChoices):
        GENERATED = "generated", "Generated, waits for approval"
        APPROVED = "approved", "Approved once, waits for the second person"
        ACTIVE = "active", "Active"
        CLOSED = "closed", "Closed"

    study = models.ForeignKey(
        Study, on_delete=models.DO_NOTHING, related_name="+", db_constraint=True
    )
    number = models.PositiveIntegerField()
    algorithm = models.CharField(max_length=40)
    design = models.JSONField(help_text="The generator's whole input but for the seed.")
    seed = models.BinaryField()
    dynamic = models.BooleanField(
        default=False, help_text="Places hold draws; the arm is decided when the subject comes."
    )
    merkle_root = models.CharField(max_length=64)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.GENERATED)
    generated_by = models.CharField(max_length=200)
    generated_at = models.DateTimeField()
    first_approved_by = models.CharField(max_length=200, blank=True)
    first_approved_at = models.DateTimeField(null=True, blank=True)
    second_approved_by = models.CharField(max_length=200, blank=True)
    second_approved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = 'unblinded"."list'
        constraints = [
            models.UniqueConstraint("study", "number", name="list_number_once"),
            models.UniqueConstraint("study", condition=Q(status="active"), name="one_active_list"),
            models.UniqueConstraint("seed", name="seed_used_once"),
            models.CheckConstraint(
                name="two_people_approve",
                condition=~Q(status="active")
                | ~Q(first_approved_by="")
                & ~Q(second_approved_by="")
                & ~Q(first_approved_by=models.F("second_approved_by"))
                & ~Q(first_approved_by=models.F("generated_by"))
                & ~Q(second_approved_by=models.F("generated_by")),
            ),
        ]

    def __str__(self) -> str:
        return f"List {self.number} of {self.study_id}"


class StratumCursor(models.Model):
    """Where each stratum's list stands. The row that an allocation locks."""

    list = models.ForeignKey(RandomizationList, on_delete=models.PROTECT, related_name="cursors")
    stratum_key = models.CharField(max_length=200)
    length = models.PositiveIntegerField()
    used = models.PositiveIntegerField(default=0, help_text="The last place taken in turn.")
    apart = models.IntegerField(
        default=0,
        help_text="Places told on paper and taken out of turn, less those passed over so far.",
    )
    released_calls = models.PositiveIntegerField(
        default=0, help_text="Uncompleted calls that unblinded staff looked at and released."
    )

    class Meta:
        db_table = 'unblinded"."stratum_cursor'
        constraints = [
            models.UniqueConstraint("list", "stratum_key", name="one_cursor_per_stratum"),
            models.CheckConstraint(
                name="used_within_list", condition=Q(used__lte=models.F("length"))
            ),
        ]

    def __str__(self) -> str:
        return f"{self.stratum_key}: {self.used} of {self.length}"

    @property
    def subjects(self) -> int:
        """How many have a place."""
        return self.used + self.apart


@audited
class CallRelease(models.Model):
    """That somebody looked at the abandoned calls of a stratum or a centre, and let it go on.

    `kind` is `stratum` or `centre`, `key` the row's key there. Written once, changed by nobody.
    """

    study = models.ForeignKey(Study, on_delete=models.DO_NOTHING, related_name="+")
    kind = models.CharField(max_length=10, choices=[("stratum", "Stratum"), ("centre", "Centre")])
    key = models.BigIntegerField()
    name = models.CharField(max_length=250)
    calls = models.PositiveIntegerField(help_text="Abandoned calls so far.")
    reason = models.CharField(max_length=300)
    released_by = models.CharField(max_length=200)
    released_at = models.DateTimeField(db_default=Now(), help_text="The database's clock.")

    class Meta:
        db_table = 'unblinded"."call_release'
        constraints = [
            models.CheckConstraint(name="release_has_a_reason", condition=~Q(reason="")),
        ]
        indexes = [models.Index("study", "kind", "key", name="release_by_place")]

    def __str__(self) -> str:
        return f"{self.name}: {self.calls}"


class ListEntry(models.Model):
    """One place in a list: an arm, or of a dynamic method the draw that will decide (53 bits)."""

    list = models.ForeignKey(RandomizationList, on_delete=models.PROTECT, related_name="entries")
    stratum_key = models.CharField(max_length=200)
    position = models.PositiveIntegerField()
    block = models.PositiveIntegerField(help_text="0 where the method has no blocks.")
    arm = models.CharField(max_length=8, blank=True)
    draw = models.BigIntegerField(null=True)

    class Meta:
        db_table = 'unblinded"."list_entry'
        constraints = [
            models.UniqueConstraint("list", "stratum_key", "position", name="one_entry_per_place"),
            models.CheckConstraint(
                name="arm_or_draw",
                condition=~Q(arm="") & Q(draw__isnull=True)
                | Q(arm="", draw__gte=0, draw__lt=2**53),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.stratum_key} {self.position}"

    @property
    def content(self) -> str:
        """What the generator wrote at this place, as in `randomization.listing.Entry.arm`."""
        return self.arm or str(self.draw)


@audited
class Allocation(models.Model):
    """Subject to arm: one place, one subject; one subject, one place."""

    subject = models.OneToOneField(Subject, on_delete=models.DO_NOTHING, related_name="+")
    entry = models.OneToOneField(ListEntry, on_delete=models.PROTECT, related_name="allocation")
    arm = models.CharField(max_length=8)
    allocated_at = models.DateTimeField()

    class Meta:
        db_table = 'unblinded"."allocation'

    def __str__(self) -> str:
        return f"{self.subject_id}"


@audited
class ForcedAllocation(models.Model):
    """The arm of one subject that was known before the subject was randomized.

    Named by a person before the subject was randomized, where the study file allows it: the
    subject still takes the next place of the stratum, which is then used up, whatever it holds. Or
    that of the place `told_entry`, which the subject was told on paper while the system was down:
    the subject takes that place if it is free, and nobody else does. Written once, changed by
    nobody.
    """

    subject = models.OneToOneField(Subject, on_delete=models.DO_NOTHING, related_name="+")
    study = models.ForeignKey(Study, on_delete=models.DO_NOTHING, related_name="+")
    arm = models.CharField(max_length=8)
    told_entry = models.ForeignKey(
        ListEntry, on_delete=models.DO_NOTHING, null=True, blank=True, related_name="+"
    )
    paper_number = models.CharField(max_length=9, blank=True, help_text="By which it was told.")
    reason = models.CharField(max_length=300)
    forced_by = models.CharField(max_length=200)
    forced_at = models.DateTimeField(db_default=Now(), help_text="The database's clock.")

    class Meta:
        db_table = 'unblinded"."forced_allocation'
        constraints = [
            models.CheckConstraint(name="forced_with_a_reason", condition=~Q(reason="")),
            models.CheckConstraint(
                name="told_by_a_number",
                condition=Q(told_entry=None, paper_number="")
                | Q(told_entry__isnull=False) & ~Q(paper_number=""),
            ),
        ]
        indexes = [models.Index("study", "forced_at", name="forced_by_time")]

    def __str__(self) -> str:
        return f"{self.subject_id}"


class Decision(models.Model):
    """How a dynamic method decided at one place: written by the gate, once.

    With the place's draw and the margins before it, anybody can work the arm out again
    (docs/algorithms/methods.md). `scores` and `weights` are in the order of the tracks, which are
    counted from 0.
    """

    entry = models.OneToOneField(ListEntry, on_delete=models.PROTECT, related_name="decision")
    stratum_key = models.CharField(max_length=200, help_text="The subject's levels, as used.")
    scores = ArrayField(models.BigIntegerField())
    weights = ArrayField(models.IntegerField())
    track = models.PositiveSmallIntegerField()

    class Meta:
        db_table = 'unblinded"."decision'

    def __str__(self) -> str:
        return f"{self.entry_id}"


class Margin(models.Model):
    """How often each track was used at one level of one factor, after the place `position`.

    A new row for each place, never an update: PostgreSQL tells a caller how many bytes an update
    wrote, and that depends on which of the counts changed.
    """

    list = models.ForeignKey(RandomizationList, on_delete=models.PROTECT, related_name="margins")
    factor = models.CharField(max_length=32)
    level = models.CharField(max_length=32)
    position = models.PositiveIntegerField()
    counts = ArrayField(models.IntegerField())

    class Meta:
        db_table = 'unblinded"."margin'
        constraints = [
            models.UniqueConstraint(
                "list", "factor", "level", "position", name="one_margin_per_place"
            )
        ]

    def __str__(self) -> str:
        return f"{self.factor}={self.level} {self.position}"


class CodeBreakBudget(models.Model):
    """How many codes of a study may be broken per hour. The row that a request locks."""

    study = models.OneToOneField(Study, on_delete=models.DO_NOTHING, related_name="+")
    per_hour = models.PositiveSmallIntegerField(default=3)
    requests = models.PositiveIntegerField(
        default=0, help_text="Raised by each request, so that two at once cannot share a snapshot."
    )
    reveals = models.PositiveIntegerField(default=0, help_text="Raised by each answer.")

    class Meta:
        db_table = 'unblinded"."code_break_budget'

    def __str__(self) -> str:
        return f"{self.per_hour} an hour"
