"""Room 2, the blinded part: that a subject was randomized, and that a code was broken.

Nothing here says an arm. What does is in `randomization/unblinded/models.py`, in a schema that
the blinded role cannot read.
"""

import pgtrigger
from django.db import models
from django.db.models.functions import Now

from enrolment.models import Subject
from iwrs import gate
from iwrs.actors import CLIENT
from iwrs.audit import audited
from iwrs.models import Study
from randomization.unblinded import models as unblinded_models  # noqa: F401  registers the tables
from randomization.unblinded import (
    models_life,  # noqa: F401
    models_simulation,  # noqa: F401
)


@audited
class ListCommitment(models.Model):
    """The published fingerprint of an approved list: it cannot be changed unnoticed.

    `merkle_root` is over salted entries, so it tells nothing about them before they are opened.
    """

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="list_commitments")
    list_number = models.PositiveIntegerField(default=1)
    part = models.PositiveSmallIntegerField(
        default=0, help_text="0 for the list as approved, 1 and up for its extensions."
    )
    algorithm = models.CharField(max_length=40)
    merkle_root = models.CharField(max_length=64)
    active = models.BooleanField(default=True)
    approved_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                "study", condition=models.Q(active=True, part=0), name="one_active_list_per_study"
            ),
            models.UniqueConstraint("study", "list_number", "part", name="list_published_once"),
        ]

    def __str__(self) -> str:
        return f"{self.study} {self.merkle_root[:12]}"


@audited
class Randomization(models.Model):
    """The fact that a subject was randomized. `number` carries no arm, block or place."""

    subject = models.OneToOneField(Subject, on_delete=models.PROTECT, related_name="randomization")
    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="randomizations")
    number = models.CharField(max_length=8)
    stratum_key = models.CharField(max_length=200, help_text="As used by the allocation.")
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField(auto_now_add=True)
    by = models.CharField(max_length=200)
    confirmed_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When an investigator signed what an EDC system recorded. Business time.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint("study", "number", name="randomization_number_once"),
            models.CheckConstraint(
                name="randomization_confirmed_if_reported",
                condition=models.Q(confirmed_at=None) | models.Q(by__startswith=CLIENT),
            ),
        ]
        indexes = [models.Index("study", "occurred_at", name="randomization_by_time")]

    def __str__(self) -> str:
        return self.number


@audited
class CodeBreakRequest(models.Model):
    """A signed request to see one subject's treatment.

    Written by `gate.code_break_request` only: `iwrs_blinded` may read it, never write it. One with
    `opened_by` was not asked here: that person read the treatment in a sealed pack while the
    system was down (`gate.code_break_opening`), and `requested_by` recorded it afterwards.
    """

    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="code_breaks")
    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="code_breaks")
    requested_by = models.CharField(max_length=200)
    opened_by = models.CharField(max_length=200, blank=True, db_default="")
    reason = models.CharField(max_length=40)
    explanation = models.TextField()
    requested_at = models.DateTimeField(help_text="The database's clock.")
    transaction = models.BigIntegerField(help_text="The transaction that made the request.")
    revealed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [models.Index("study", "requested_at", name="code_break_by_time")]

    def __str__(self) -> str:
        return f"{self.subject} {self.requested_at:%Y-%m-%d}"

    @property
    def said(self) -> str:
        """What happened, as people read it."""
        if self.opened_by:
            return f"Opened from the sealed pack while the system was down, by {self.opened_by}"
        return "Shown once" if self.revealed_at else "Not shown"


@audited
class CodeBreakRefusal(models.Model):
    """A code break that was refused: written once, with the database's own time."""

    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="+")
    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="code_break_refusals")
    refused_to = models.CharField(max_length=200)
    why = models.CharField(max_length=40, help_text="The code of the `Problem`.")
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index("study", "recorded_at", name="code_break_refusal_by_time")]
        triggers = [
            pgtrigger.Trigger(
                name="own_time",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                func="NEW.recorded_at := clock_timestamp(); RETURN NEW;",
            )
        ]

    def __str__(self) -> str:
        return f"{self.subject}: {self.why}"

    @property
    def said(self) -> str:
        """The refusal as people read it."""
        titles = {code: title for code, title, _, _ in gate.REFUSALS.values()}
        return titles.get(self.why, "The subject is not randomized.")


@audited
class CodeBreakAssessment(models.Model):
    """Was it necessary to break this code, what follows from it, and what is done about it.

    One for each treatment that was shown, by another person than the one who saw it (ICH E6(R3)
    4.1.4).
    """

    request = models.OneToOneField(
        CodeBreakRequest, on_delete=models.PROTECT, related_name="assessment"
    )
    necessary = models.BooleanField()
    impact = models.TextField()
    action = models.TextField()
    assessed_by = models.CharField(max_length=200)
    assessed_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="assessment_is_whole", condition=~models.Q(impact="") & ~models.Q(action="")
            )
        ]

    def __str__(self) -> str:
        return f"Assessment of {self.request_id}"


class OpenedStudy(models.Model):
    """That a study is unblinded as a whole. Written by the unblinded side, once and for good."""

    study = models.OneToOneField(Study, on_delete=models.PROTECT, related_name="opened")
    cut_on = models.DateField()
    events = models.PositiveIntegerField()
    first_by = models.CharField(max_length=200)
    second_by = models.CharField(max_length=200)
    opened_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="two_people_opened", condition=~models.Q(first_by=models.F("second_by"))
            )
        ]
        triggers = [
            pgtrigger.Trigger(
                name="after_accrual",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert,
                func=(
                    "IF (SELECT s.status FROM public.iwrs_study s WHERE s.id = NEW.study_id)"
                    " IS DISTINCT FROM 'closed' THEN RAISE EXCEPTION USING ERRCODE = '23514',"
                    " MESSAGE = 'a study is unblinded after accrual is closed'; END IF; RETURN NEW;"
                ),
            )
        ]

    def __str__(self) -> str:
        return f"{self.study}"


class OpenedAllocation(models.Model):
    """The treatment of one subject of an unblinded study, and the proof that it is the one of the
    published list. Empty for as long as a study is blinded.

    `proof`: arm, place (stratum, position, block, entry), salt, index, size and path; see
    docs/algorithms/opened.md.
    """

    opened = models.ForeignKey(OpenedStudy, on_delete=models.PROTECT, related_name="allocations")
    subject = models.OneToOneField(Subject, on_delete=models.PROTECT, related_name="opened")
    list_number = models.PositiveIntegerField()
    part = models.PositiveSmallIntegerField()
    proof = models.JSONField()

    def __str__(self) -> str:
        return f"{self.subject}"


@audited
class RandomizedInError(models.Model):
    """The mark that a subject should not have been randomized. It cannot be taken back.

    The place in the list stays used and the subject stays in the analysis, as randomized (ICH E9
    5.2.1). Treatment is another matter: who stops a drug records that by itself.
    """

    randomization = models.OneToOneField(
        Randomization, on_delete=models.PROTECT, related_name="in_error"
    )
    reason = models.TextField()
    marked_by = models.CharField(max_length=200)
    marked_at = models.DateTimeField(help_text="Business time.")
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(name="mark_has_reason", condition=~models.Q(reason=""))
        ]

    def __str__(self) -> str:
        return f"{self.randomization} in error"


@audited
class VerifiedStratum(models.Model):
    """The stratum that a subject really belongs to, beside the one that the allocation used.

    The newest row of a subject stands; none is ever changed.
    """

    randomization = models.ForeignKey(
        Randomization, on_delete=models.PROTECT, related_name="verified_strata"
    )
    levels = models.JSONField(help_text="Level of each factor, as it should have been answered.")
    reason = models.TextField()
    verified_by = models.CharField(max_length=200)
    verified_at = models.DateTimeField(help_text="Business time.")
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="verified_stratum_has_reason", condition=~models.Q(reason="")
            )
        ]
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.randomization} {self.levels}"


@audited
class LateEntry(models.Model):
    """A randomization that happened on paper while the system was down, and was entered later.

    When it happened is `Randomization.occurred_at`; here stands when and why it was entered, and
    which place and kit the paper gave.
    """

    randomization = models.OneToOneField(
        Randomization, on_delete=models.PROTECT, related_name="late_entry"
    )
    reason = models.TextField()
    paper_number = models.CharField(
        max_length=9,
        blank=True,
        db_default="",
        help_text="Names the place of the sealed paper, and was compared with the one taken.",
    )
    paper_kit = models.CharField(max_length=7, blank=True, help_text="Empty when none was given.")
    kit_differs = models.BooleanField(
        default=False, help_text="The list gives another kit than the paper did."
    )
    entered_by = models.CharField(max_length=200)
    entered_at = models.DateTimeField(help_text="Business time.")
    recorded_at = models.DateTimeField(db_default=Now())

    class Meta:
        verbose_name_plural = "late entries"
        constraints = [
            models.CheckConstraint(name="late_entry_has_reason", condition=~models.Q(reason="")),
            models.CheckConstraint(
                name="late_kit_differs_from_one",
                condition=models.Q(kit_differs=False) | ~models.Q(paper_kit=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.randomization} entered late"
