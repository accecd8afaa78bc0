"""A list's life around its places: its seed, its origin, its extensions. Schema `unblinded`."""

from django.db import models
from django.db.models import Q

from iwrs.audit import audited, audited_fields
from iwrs.models import Study
from randomization.unblinded.models import RandomizationList


@audited
class SplitSeed(models.Model):
    """A seed that two people make together. It stays in the record when it comes to nothing."""

    study = models.ForeignKey(Study, on_delete=models.DO_NOTHING, related_name="+")
    number = models.PositiveIntegerField()
    begun_by = models.CharField(max_length=200)
    begun_at = models.DateTimeField()
    ended_by = models.CharField(max_length=200, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_why = models.CharField(max_length=300, blank=True)
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = 'unblinded"."split_seed'
        constraints = [
            models.UniqueConstraint("study", "number", name="split_seed_number_once"),
            models.UniqueConstraint(
                "study", condition=Q(ended_at=None, used_at=None), name="one_split_seed_at_a_time"
            ),
            models.CheckConstraint(
                name="split_seed_ends_with_a_reason",
                condition=Q(ended_at=None, ended_by="", ended_why="")
                | Q(ended_at__isnull=False, used_at=None) & ~Q(ended_by="") & ~Q(ended_why=""),
            ),
        ]

    def __str__(self) -> str:
        return f"Split seed {self.number}"


# The share itself is secret, in the history too.
@audited_fields("id", "split", "place", "by", "commitment", "committed_at", "opened_at")
class SeedShare(models.Model):
    """One person's part of a seed: first its commitment, then the share."""

    split = models.ForeignKey(SplitSeed, on_delete=models.PROTECT, related_name="shares")
    place = models.PositiveSmallIntegerField()
    by = models.CharField(max_length=200)
    commitment = models.CharField(max_length=64)
    committed_at = models.DateTimeField()
    share = models.CharField(max_length=64, blank=True)
    opened_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = 'unblinded"."seed_share'
        constraints = [
            models.UniqueConstraint("split", "place", name="two_shares_of_a_seed"),
            models.UniqueConstraint("split", "by", name="two_people_share_a_seed"),
            models.UniqueConstraint("commitment", name="a_share_serves_once"),
            models.CheckConstraint(name="share_one_or_two", condition=Q(place__in=[1, 2])),
            models.CheckConstraint(
                name="a_share_is_opened_whole",
                condition=Q(share="", opened_at=None) | ~Q(share="") & Q(opened_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"Share {self.place}"


class ListOrigin(models.Model):
    """Where a list came from: its seed and its definition. Written with the list, once."""

    class Source(models.TextChoices):
        SYSTEM = "system", "Drawn by the operating system"
        SPLIT = "split", "Made by two people, of whom neither alone knows it"
        GIVEN = "given", "Given from outside, for simulated data"
        IMPORTED = "imported", "None: the list was made outside and imported from a file"

    list = models.OneToOneField(RandomizationList, on_delete=models.PROTECT, related_name="origin")
    source = models.CharField(max_length=10, choices=Source.choices)
    split = models.OneToOneField(
        SplitSeed, on_delete=models.PROTECT, null=True, blank=True, related_name="origin"
    )
    definition_version = models.PositiveIntegerField()
    definition_sha256 = models.CharField(max_length=64)

    class Meta:
        db_table = 'unblinded"."list_origin'
        constraints = [
            models.CheckConstraint(
                name="a_split_seed_is_named",
                condition=Q(source="split", split__isnull=False)
                | ~Q(source="split") & Q(split=None),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.list_id}: {self.get_source_display()}"


class ImportedFile(models.Model):
    """The file of an imported list, byte for byte. Written with the list, once."""

    list = models.OneToOneField(RandomizationList, on_delete=models.PROTECT, related_name="file")
    name = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    names = models.TextField(blank=True, help_text="What the file calls columns, arms and strata.")
    content = models.BinaryField()

    class Meta:
        db_table = 'unblinded"."imported_file'

    def __str__(self) -> str:
        return self.name


@audited
class ListExtension(models.Model):
    """More places of a list in use, from the same seed: a longer list, strata that came later, or
    both. The places are stored when the second person approves.
    """

    class Status(models.TextChoices):
        GENERATED = "generated", "Waits for approval"
        APPROVED = "approved", "Approved once, waits for the second person"
        ACTIVE = "active", "In use"
        WITHDRAWN = "withdrawn", "Withdrawn"

    list = models.ForeignKey(RandomizationList, on_delete=models.PROTECT, related_name="extensions")
    part = models.PositiveSmallIntegerField()
    length = models.PositiveIntegerField(help_text="Places of each stratum, at least.")
    strata = models.JSONField(help_text="Every stratum from then on, in order.")
    before = models.JSONField(help_text="Places of each stratum until then.")
    merkle_root = models.CharField(max_length=64)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.GENERATED)
    generated_by = models.CharField(max_length=200)
    generated_at = models.DateTimeField()
    first_approved_by = models.CharField(max_length=200, blank=True)
    first_approved_at = models.DateTimeField(null=True, blank=True)
    second_approved_by = models.CharField(max_length=200, blank=True)
    second_approved_at = models.DateTimeField(null=True, blank=True)
    why_withdrawn = models.CharField(max_length=300, blank=True)

    class Meta:
        db_table = 'unblinded"."list_extension'
        constraints = [
            models.UniqueConstraint(
                "list", condition=Q(status__in=["generated", "approved"]), name="one_open_extension"
            ),
            models.UniqueConstraint(
                "list", "part", condition=~Q(status="withdrawn"), name="extension_part_once"
            ),
            models.CheckConstraint(
                name="two_people_approve_an_extension",
                condition=~Q(status="active")
                | ~Q(first_approved_by="")
                & ~Q(second_approved_by="")
                & ~Q(first_approved_by=models.F("second_approved_by"))
                & ~Q(first_approved_by=models.F("generated_by"))
                & ~Q(second_approved_by=models.F("generated_by")),
            ),
            models.CheckConstraint(
                name="an_extension_is_withdrawn_with_a_reason",
                condition=Q(status="withdrawn") & ~Q(why_withdrawn="")
                | ~Q(status="withdrawn") & Q(why_withdrawn=""),
            ),
        ]

    def __str__(self) -> str:
        return f"Extension {self.part} of list {self.list.number}"


@audited
class Unblinding(models.Model):
    """The planned unblinding of a whole study: two people sign, the second signature opens it."""

    study = models.OneToOneField(Study, on_delete=models.DO_NOTHING, related_name="+")
    cut_on = models.DateField(help_text="The data cut at which the events were counted.")
    endpoint = models.CharField(max_length=20)
    events_needed = models.PositiveIntegerField()
    events_counted = models.PositiveIntegerField()
    first_by = models.CharField(max_length=200)
    first_at = models.DateTimeField()
    second_by = models.CharField(max_length=200, blank=True)
    second_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = 'unblinded"."unblinding'
        constraints = [
            models.CheckConstraint(
                name="two_people_unblind",
                condition=Q(second_by="", second_at=None)
                | ~Q(second_by="")
                & Q(second_at__isnull=False)
                & ~Q(first_by=models.F("second_by")),
            ),
            models.CheckConstraint(
                name="unblinded_with_its_events",
                condition=Q(events_counted__gte=models.F("events_needed")),
            ),
        ]

    def __str__(self) -> str:
        return f"Unblinding of {self.study_id}"


class ListNotice(models.Model):
    """A stratum of a list in use that ran low, or is missing (`length` 0), and when it was told.

    `length` is that of the stratum then: extended, it may run low again.
    """

    list = models.ForeignKey(RandomizationList, on_delete=models.PROTECT, related_name="notices")
    stratum_key = models.CharField(max_length=200)
    length = models.PositiveIntegerField()
    noticed_at = models.DateTimeField()
    tried_at = models.DateTimeField(null=True, blank=True)
    told_at = models.DateTimeField(null=True, blank=True, help_text="When the letter was sent.")

    class Meta:
        db_table = 'unblinded"."list_notice'
        constraints = [
            models.UniqueConstraint("list", "stratum_key", "length", name="each_need_noticed_once")
        ]

    def __str__(self) -> str:
        return f"Notice {self.pk} of {self.list_id}"
