"""Room 1: who is in the trial. Centres, the people at them, subjects and their eligibility."""

import pgtrigger
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from iwrs.accounts.models import Role, User
from iwrs.audit import audited
from iwrs.models import Study


@audited
class Centre(models.Model):
    """A hospital that enrols subjects. Two-digit country and two-digit centre make its number."""

    class Status(models.TextChoices):
        PLANNED = "planned", "Planned"
        ACTIVE = "active", "Active"
        SUSPENDED = "suspended", "Suspended"
        CLOSED = "closed", "Closed"

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="centres")
    number = models.CharField(max_length=4)
    name = models.CharField(max_length=200)
    country_code = models.CharField(max_length=2, help_text="ISO 3166-1 alpha-2")
    country_name = models.CharField(max_length=80)
    time_zone = models.CharField(max_length=50, help_text="IANA name, for example Europe/Paris")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.PLANNED)
    ethics_approved_on = models.DateField(null=True, blank=True)
    activated_at = models.DateTimeField(null=True, blank=True)
    last_subject_sequence = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint("study", "number", name="centre_number_once"),
            models.CheckConstraint(
                name="active_centre_has_approval",
                condition=~Q(status="active")
                | Q(ethics_approved_on__isnull=False, activated_at__isnull=False),
            ),
        ]
        triggers = [
            # A code must be broken in a minute by somebody who has done it before.
            pgtrigger.Trigger(
                name="active_after_drill",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.UpdateOf("status"),
                condition=pgtrigger.Q(new__status="active"),
                func="""
                    IF (TG_OP = 'INSERT' OR OLD.status <> 'active') AND NOT EXISTS (
                        SELECT 1 FROM public.enrolment_codebreakdrill d
                         WHERE d.centre_id = NEW.id AND d.finished_at IS NOT NULL) THEN
                        RAISE EXCEPTION USING ERRCODE = '23514',
                            MESSAGE = 'a centre is active only after its code break drill';
                    END IF;
                    RETURN NEW;
                """,
            )
        ]
        ordering = ["number"]

    def __str__(self) -> str:
        return f"{self.number} {self.name}"


@audited
class CountryAccrual(models.Model):
    """Accrual in one country of a study, once somebody paused or closed it there."""

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        PAUSED = "paused", "Paused"
        CLOSED = "closed", "Closed"

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="countries")
    country_code = models.CharField(max_length=2, help_text="ISO 3166-1 alpha-2")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.OPEN)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["study", "country_code"], name="one_row_per_country")
        ]

    def __str__(self) -> str:
        return f"{self.country_code}: {self.get_status_display()}"


@audited
class CodeBreakDrill(models.Model):
    """A code break practised at one centre, on a subject who does not exist.

    Started, requested and finished by one investigator. The three times are the database's own;
    who did it, and what is finished, never changes.
    """

    centre = models.ForeignKey(Centre, on_delete=models.PROTECT, related_name="drills")
    done_by = models.CharField(max_length=200)
    reason = models.CharField(max_length=40, blank=True)
    explanation = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now(), help_text="When it was started.")
    requested_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                name="drill_is_finished_after_its_request",
                condition=Q(finished_at__isnull=True) | Q(requested_at__isnull=False),
            ),
            models.CheckConstraint(
                name="drill_is_requested_with_reason",
                condition=Q(requested_at__isnull=True) | ~Q(reason="") & ~Q(explanation=""),
            ),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="own_times",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Update,
                func="""
                    IF TG_OP = 'INSERT' THEN
                        NEW.created_at := clock_timestamp();
                        NEW.requested_at := NULL;
                        NEW.finished_at := NULL;
                        RETURN NEW;
                    END IF;
                    IF OLD.finished_at IS NOT NULL OR NEW.centre_id <> OLD.centre_id
                       OR NEW.done_by <> OLD.done_by THEN
                        RAISE EXCEPTION USING ERRCODE = '42501',
                            MESSAGE = 'a drill is never changed';
                    END IF;
                    NEW.created_at := OLD.created_at;
                    NEW.finished_at := CASE WHEN NEW.finished_at IS NOT NULL
                                            THEN clock_timestamp() END;
                    NEW.requested_at := CASE WHEN OLD.requested_at IS NOT NULL
                                             THEN OLD.requested_at
                                             WHEN NEW.requested_at IS NOT NULL
                                             THEN clock_timestamp() END;
                    RETURN NEW;
                """,
            )
        ]
        indexes = [models.Index("centre", "finished_at", name="drill_of_centre")]

    def __str__(self) -> str:
        return f"Drill at {self.centre_id} by {self.done_by}"

    @property
    def seconds(self) -> int | None:
        """Whole seconds from the start to the answer; None while it is not finished."""
        if self.finished_at is None:
            return None
        return int((self.finished_at - self.created_at).total_seconds())


@audited
class CentreRole(models.Model):
    """A role that a person holds at one centre."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="centre_roles")
    centre = models.ForeignKey(Centre, on_delete=models.PROTECT, related_name="roles")
    role = models.CharField(max_length=30, choices=Role.choices)
    since = models.DateField()
    until = models.DateField(null=True, blank=True)
    invited = False  # not kept: an invitation went out when the role was given just now

    class Meta:
        constraints = [
            models.UniqueConstraint("user", "centre", "role", name="one_role_once_per_centre")
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.get_role_display()} at {self.centre}"


@audited
class Subject(models.Model):
    """A person who gave consent. The number carries the centre and a sequence."""

    class Status(models.TextChoices):
        SCREENING = "screening", "In screening"
        ELIGIBLE = "eligible", "Eligible"
        SCREEN_FAILED = "screen_failed", "Screen failure"
        RANDOMIZED = "randomized", "Randomized"

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="subjects")
    centre = models.ForeignKey(Centre, on_delete=models.PROTECT, related_name="subjects")
    number = models.CharField(max_length=12, help_text="Centre number, dash, sequence: 0101-003")
    status = models.CharField(max_length=15, choices=Status.choices, default=Status.SCREENING)
    consent_on = models.DateField()
    screened_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)
    failure_reason = models.CharField(max_length=300, blank=True)
    strata = models.JSONField(default=dict, help_text="Level of each factor, as answered.")
    stratum_key = models.CharField(max_length=200, blank=True)
    baseline = models.JSONField(default=dict)
    rescreen_of = models.OneToOneField(
        "self", on_delete=models.PROTECT, related_name="rescreened_as", null=True, blank=True
    )
    rescreening = models.PositiveSmallIntegerField(
        default=0, help_text="0 at the first screening of a person, then 1, 2 and so on."
    )
    randomized_at = models.DateTimeField(null=True, blank=True)
    unblinded_at = models.DateTimeField(null=True, blank=True)
    ended_on = models.DateField(
        null=True, blank=True, help_text="Death, withdrawal or loss: the first of these days."
    )
    recorded_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint("study", "number", name="subject_number_once"),
            models.CheckConstraint(
                name="consent_before_screening",
                condition=Q(screened_at__date__gte=F("consent_on") - 1),
                violation_error_message="Consent must be given before screening.",
            ),
            models.CheckConstraint(
                name="rescreening_is_of_a_subject",
                condition=Q(rescreening=0, rescreen_of__isnull=True)
                | Q(rescreening__gt=0, rescreen_of__isnull=False),
            ),
            models.CheckConstraint(
                name="randomized_has_moment_and_stratum",
                condition=Q(randomized_at__isnull=True) & ~Q(status="randomized")
                | Q(randomized_at__isnull=False, status="randomized") & ~Q(stratum_key=""),
            ),
        ]
        indexes = [
            models.Index("centre", "status", name="subject_by_centre"),
            models.Index("study", "randomized_at", name="subject_by_accrual"),
        ]
        triggers = [
            pgtrigger.Trigger(
                name="tally",
                when=pgtrigger.After,
                operation=pgtrigger.Insert | pgtrigger.UpdateOf("randomized_at"),
                condition=pgtrigger.Q(new__randomized_at__isnull=False),
                func="""
                    IF TG_OP = 'INSERT' OR OLD.randomized_at IS NULL THEN
                        INSERT INTO public.enrolment_tally AS t (centre_id, levels, randomized)
                        VALUES (NEW.centre_id, NEW.strata, 1)
                        ON CONFLICT (centre_id, levels)
                        DO UPDATE SET randomized = t.randomized + 1;
                    END IF;
                    RETURN NULL;
                """,
            )
        ]
        ordering = ["number"]

    def __str__(self) -> str:
        return self.number


class Tally(models.Model):
    """How many subjects with these factor levels were randomized at a centre.

    Raised by a trigger of `Subject` and by nothing else, under the lock of the centre. It spares
    the counting of all subjects at each randomization.
    """

    centre = models.ForeignKey(Centre, on_delete=models.PROTECT, related_name="tallies")
    levels = models.JSONField(help_text="Level of each factor, as the subjects were allocated by.")
    randomized = models.PositiveIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["centre", "levels"], name="one_tally_per_levels")
        ]

    def __str__(self) -> str:
        return f"{self.centre_id} {self.levels}: {self.randomized}"


@audited
class EligibilityAnswer(models.Model):
    """The answer to one eligibility question of the definition."""

    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="eligibility")
    question = models.CharField(max_length=60)
    answer = models.CharField(
        max_length=7, choices=[("yes", "Yes"), ("no", "No"), ("unknown", "Not known")]
    )

    class Meta:
        constraints = [
            models.UniqueConstraint("subject", "question", name="one_answer_per_question")
        ]

    def __str__(self) -> str:
        return f"{self.subject} {self.question}: {self.answer}"


@audited
class Deviation(models.Model):
    """One eligibility question set aside for one subject, approved before randomization."""

    subject = models.ForeignKey(Subject, on_delete=models.PROTECT, related_name="deviations")
    question = models.CharField(max_length=60)
    reason = models.TextField()
    requested_by = models.CharField(max_length=200)
    requested_at = models.DateTimeField()
    approved_by = models.CharField(max_length=200, blank=True)
    approved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint("subject", "question", name="one_deviation_per_question"),
            models.CheckConstraint(
                name="deviation_approval_is_whole",
                condition=Q(approved_by="", approved_at__isnull=True)
                | ~Q(approved_by="") & Q(approved_at__isnull=False),
            ),
            models.CheckConstraint(name="deviation_has_reason", condition=~Q(reason="")),
        ]

    def __str__(self) -> str:
        return f"{self.subject} {self.question}"


class AccessReviewOfASide(models.Model):
    """Somebody looked through who has access to one side of a study (ICH E6(R3) 4.3.8)."""

    reviewed_by = models.CharField(max_length=200)
    reviewed_at = models.DateTimeField()
    rows = models.PositiveIntegerField(help_text="Roles and clients that were listed.")
    sha256 = models.CharField(max_length=64, help_text="Of the list that was looked through.")
    notes = models.TextField()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"Reviewed by {self.reviewed_by}"


@audited
class AccessReview(AccessReviewOfASide):
    """Of the blinded side. Never changed."""

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="access_reviews")

    class Meta:
        constraints = [
            models.CheckConstraint(name="access_review_has_notes", condition=~Q(notes=""))
        ]
        indexes = [models.Index(fields=["study", "-reviewed_at"], name="access_review_last")]


@audited
class UnblindedAccessReview(AccessReviewOfASide):
    """Of the unblinded side, in its own schema, as its accounts are. Never changed."""

    study = models.ForeignKey(Study, on_delete=models.DO_NOTHING, related_name="+")

    class Meta:
        db_table = 'unblinded"."access_review'
        constraints = [
            models.CheckConstraint(name="unblinded_access_review_has_notes", condition=~Q(notes=""))
        ]
        indexes = [
            models.Index(fields=["study", "-reviewed_at"], name="unblinded_access_review_last")
        ]
