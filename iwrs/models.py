"""What every room shares: the study and its versions, messages to send, API bookkeeping."""

from typing import ClassVar

from django.db import models
from django.utils.functional import cached_property
from oauth2_provider.models import AbstractApplication

from iwrs.audit import audited, audited_fields
from iwrs.definition import StudyDefinition


@audited
class Study(models.Model):
    """One trial. Its rules are in the current `StudyVersion`."""

    class Status(models.TextChoices):
        DRAFT = "draft", "In preparation"
        OPEN = "open", "Open to accrual"
        PAUSED = "paused", "Accrual paused"
        CLOSED = "closed", "Closed to accrual"

    code = models.SlugField(max_length=40, unique=True)
    title = models.CharField(max_length=300)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.DRAFT)
    simulated = models.BooleanField(
        default=False, help_text="The data are simulated; every page that shows them says so."
    )
    training = models.BooleanField(
        default=False, help_text="For practice; it is never analysed, and every page says so."
    )
    replay_now = models.DateTimeField(
        null=True, blank=True, help_text="Business time of a study that is being replayed."
    )
    definition_sha256 = models.CharField(
        max_length=64, blank=True, help_text="SHA-256 of the definition in force."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "studies"

    def __str__(self) -> str:
        return self.title

    @cached_property
    def version(self) -> "StudyVersion":
        """The version in force, which the study names by its hash; asked once for each instance,
        so once an act. A newer one may wait for the list that is made for it.
        """
        known = self.versions.only("number", "sha256", "study").order_by("-number")
        version = known.filter(sha256=self.definition_sha256).first()
        if version is None:
            raise StudyVersion.DoesNotExist(f"study {self.code} has no definition loaded")
        return version

    def announced(self) -> "StudyVersion | None":
        """The version that comes into force with the next list, if the newest one waits for it."""
        # Its content is looked up when somebody asks for it: mostly there is none to ask for.
        newest = self.versions.defer("definition", "source").order_by("-number").first()
        if newest is None or newest.sha256 == self.definition_sha256:
            return None
        return newest if newest.awaits_list else None

    @property
    def definition(self) -> StudyDefinition:
        """The definition in force, parsed once per process and version.

        The study names it by its hash, so an act that has the study asks nothing more. What is
        kept under a hash cannot become stale: a version is never changed.
        """
        known = StudyVersion.known(self.definition_sha256)
        return known if known is not None else self.version.parsed


@audited
class StudyVersion(models.Model):
    """A study definition as it was loaded; never changed afterwards."""

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    definition = models.JSONField()
    source = models.TextField(help_text="The file, byte for byte.")
    sha256 = models.CharField(max_length=64)
    awaits_list = models.BooleanField(
        default=False, help_text="It comes into force with the list that is made for it."
    )
    loaded_by = models.CharField(max_length=200)
    loaded_at = models.DateTimeField()

    _parsed: ClassVar[dict[str, StudyDefinition]] = {}

    class Meta:
        constraints = [models.UniqueConstraint("study", "number", name="study_version_once")]

    def __str__(self) -> str:
        return f"{self.study} version {self.number}"

    @classmethod
    def known(cls, sha256: str) -> StudyDefinition | None:
        """The parsed definition with this hash, if this process has read it before."""
        return cls._parsed.get(sha256)

    @property
    def parsed(self) -> StudyDefinition:
        if self.sha256 not in self._parsed:
            self._parsed[self.sha256] = StudyDefinition.model_validate(self.definition)
        return self._parsed[self.sha256]


class Message(models.Model):
    """Something to send, written in the transaction of the act that caused it.

    `refs` holds primary keys only. Delivery is at least once; `key` makes a message unique.
    """

    class Kind(models.TextChoices):
        EMAIL = "email", "E-mail"

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    topic = models.CharField(max_length=60)
    key = models.CharField(max_length=120, unique=True)
    refs = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    due_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    last_error = models.CharField(max_length=200, blank=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.topic} {self.key}"


class OutboxMessage(Message):
    """A message of the blinded side."""

    class Meta:
        indexes = [models.Index("due_at", condition=models.Q(sent_at=None), name="outbox_waiting")]


# What the unblinded side writes letters about. No free text of the blinded side is in them.
STAFF_TOPICS = (
    *("invitation", "password-link", "account-changed", "account-locked", "signing-locked"),
    "access-review-due",
)


class StaffLetter(Message):
    """A letter to unblinded staff about their accounts, which the blinded side does not see."""

    class Meta:
        db_table = 'unblinded"."staff_letter'
        constraints = [
            models.CheckConstraint(
                name="staff_letter_about_accounts",
                condition=models.Q(topic__in=STAFF_TOPICS),
            )
        ]
        indexes = [models.Index("due_at", condition=models.Q(sent_at=None), name="staff_waiting")]


class IdempotencyRecord(models.Model):
    """The first answer to a request, kept so that a repeated request gets the same."""

    client = models.CharField(max_length=100)
    key = models.CharField(max_length=200)
    request_sha256 = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField()
    body = models.JSONField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint("client", "key", name="idempotency_key_once")]

    def __str__(self) -> str:
        return f"{self.client} {self.key}"


# Which system may do what in which study. Never its secret or the hash of it.
@audited_fields("id", "client_id", "name", "study", "allowed_scopes")
class EdcClient(AbstractApplication):
    """An EDC system of one study. It signs in with OAuth2 client credentials."""

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="edc_clients")
    allowed_scopes = models.TextField(
        help_text="Scopes the client may ask for, separated by spaces."
    )

    class Meta(AbstractApplication.Meta):
        pass
