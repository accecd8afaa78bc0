"""Accounts: a person, and the study-wide roles the person holds.

The tables exist twice: in `public` for blinded people, in `unblinded` for unblinded staff.
The search path of the process chooses.
"""

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.db.models.functions import Lower, Now

from iwrs.audit import audited, audited_fields


class Role(models.TextChoices):
    """What a person does in a study (ICH E6(R3) 4.3.8: permissions by duty)."""

    SITE_COORDINATOR = "site_coordinator", "Site coordinator"
    INVESTIGATOR = "investigator", "Investigator"
    PHARMACIST = "pharmacist", "Site pharmacist"
    MONITOR = "monitor", "Monitor"
    STUDY_MANAGER = "study_manager", "Study manager"
    ADMINISTRATOR = "administrator", "Trial administrator"
    SAFETY_PHYSICIAN = "safety_physician", "Safety physician"
    DEPOT_MANAGER = "depot_manager", "Depot manager"
    AUDITOR = "auditor", "Auditor"
    UNBLINDED_STATISTICIAN = "unblinded_statistician", "Unblinded statistician"
    SUPPLY_MANAGER = "supply_manager", "Supply manager"
    UNBLINDED_AUDITOR = "unblinded_auditor", "Unblinded auditor"


UNBLINDED_ROLES = {Role.UNBLINDED_STATISTICIAN, Role.SUPPLY_MANAGER, Role.UNBLINDED_AUDITOR}
SITE_ROLES = {Role.SITE_COORDINATOR, Role.INVESTIGATOR, Role.PHARMACIST}


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, *, name: str, password: str | None = None) -> "User":
        user = self.model(email=email.strip().lower(), name=name)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email__iexact=username)


# What says who a person is, and whether the account is open. Never a password or its hash; wrong
# passwords and sign-ins are `SignInEvent`.
@audited_fields("id", "email", "name", "is_active", "created_at")
class User(AbstractBaseUser):
    """A person who signs in with an e-mail address. There are no shared accounts."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=120)
    is_active = models.BooleanField(default=True)
    failed_attempts = models.PositiveSmallIntegerField(default=0)
    locked_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS = ["name"]

    class Meta:
        constraints = [models.UniqueConstraint(Lower("email"), name="one_account_per_email")]

    def __str__(self) -> str:
        return f"{self.name} <{self.email}>"


@audited
class StudyRole(models.Model):
    """A role that a person holds in a whole study. Site roles are in `enrolment`."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="study_roles")
    # The code, not a foreign key: this table also stands in the unblinded schema.
    study_code = models.SlugField(max_length=40)
    role = models.CharField(max_length=30, choices=Role.choices)
    since = models.DateField()
    until = models.DateField(null=True, blank=True)
    invited = False  # not kept: an invitation went out when the role was given just now

    class Meta:
        constraints = [
            models.UniqueConstraint("user", "study_code", "role", name="one_role_once_per_study")
        ]

    def __str__(self) -> str:
        return f"{self.user} is {self.get_role_display()} in {self.study_code}"


class SignInEvent(models.Model):
    """Something that happened at the door of this site: written once, never changed.

    `user` is empty when no account has the address that was typed; what was typed is not kept,
    since people type passwords into the wrong field. Nor has an EDC system one: its row has
    `client`. `at` is the database's own time. The row says who, when, from where, on which site and
    with what outcome (21 CFR 11.300(d); ASVS 5.0 V16.3.1).
    """

    class What(models.TextChoices):
        SIGNED_IN = "signed_in", "Signed in"
        REFUSED = "refused", "Refused"
        LOCKED = "locked", "Locked"
        SIGNED_OUT = "signed_out", "Signed out"
        PASSWORD_CHANGED = "password_changed", "Password changed"
        FACTOR_ADDED = "factor_added", "Second factor added"
        FACTOR_REMOVED = "factor_removed", "Second factor removed"
        SESSION_ENDED = "session_ended", "Session ended"
        LINKED = "linked", "Linked with a directory"
        LINK_ASKED = "link_asked", "Link to set the password asked for"
        INVITED = "invited", "Invited"
        ACCOUNT_ENDED = "account_ended", "Account ended"
        SIGNING_LOCKED = "signing_locked", "Signing locked"
        SECRET_REPLACED = "secret_replaced", "Secret replaced"

    user = models.ForeignKey(
        User, null=True, on_delete=models.PROTECT, related_name="sign_in_events"
    )
    # The id, not a foreign key: this table also stands in the unblinded schema, without clients.
    client = models.CharField(
        max_length=100,
        blank=True,
        default="",
        db_default="",  # a process of the release before still writes rows without it
        help_text="Client id of an EDC system.",
    )
    at = models.DateTimeField(db_default=Now())
    site = models.CharField(max_length=10)
    what = models.CharField(max_length=20, choices=What.choices)
    method = models.CharField(max_length=40, blank=True, help_text="By what: password, signature.")
    address = models.GenericIPAddressField(null=True)
    browser = models.CharField(max_length=200, blank=True)
    done_by = models.CharField(max_length=200, blank=True, help_text="Who else did it.")
    why = models.TextField(blank=True)
    of_request = models.UUIDField(null=True, help_text="The same for all that one request did.")

    class Meta:
        indexes = [
            models.Index(fields=["user", "-at"], name="sign_in_of_person"),
            models.Index(fields=["at"], name="sign_in_in_time"),
        ]

    def __str__(self) -> str:
        return f"{self.user or self.client or 'Nobody known'}: {self.get_what_display()}"
