"""Who has access to a study, and that somebody looked through it (ICH E6(R3) 4.3.8).

The list and its reviews are of the side that the process serves: the accounts of unblinded staff
are in a schema that the blinded side cannot read.
"""

import csv
import hashlib
import io
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings

from enrolment.models import AccessReview, CentreRole, UnblindedAccessReview
from iwrs import outbox
from iwrs.accounts.models import StudyRole, User
from iwrs.actors import SYSTEM, Actor
from iwrs.acts import act
from iwrs.models import Study
from iwrs.problems import Invalid, Problem
from iwrs.spreadsheet import harmless

EVERY = timedelta(days=90)
DUE = "access-review-due"  # topic of the letter that reminds
AnyReview = AccessReview | UnblindedAccessReview
HEAD = ("person", "e-mail", "role", "place", "first day", "last day", "account", "last sign-in")


@dataclass(frozen=True)
class Access:
    """One role of one person, or one client. Days and moments are ISO 8601 in UTC, or empty."""

    person: str
    email: str
    role: str
    place: str
    first_day: str
    last_day: str
    account: str
    last_sign_in: str = ""


def who_has_access(study: Study) -> list[Access]:
    """Every role held in the study and at its centres, ended ones too, and its EDC clients."""
    return [access for access, _ in access_and_accounts(study)]


def access_and_accounts(study: Study) -> list[tuple[Access, int | None]]:
    """The same, each with the key of the account; None for an EDC client."""
    in_study = StudyRole.objects.filter(study_code=study.code).select_related("user")
    found = [_access(each, "whole study") for each in in_study]
    if settings.SIDE == "blinded":
        at_centres = CentreRole.objects.filter(centre__study=study)
        found += [
            _access(each, f"centre {each.centre.number}")
            for each in at_centres.select_related("user", "centre")
        ]
        for each in study.edc_clients.all():
            scopes = each.allowed_scopes
            client = Access(f"EDC client {each.name}", "", scopes, "API", "", "", "open")
            found.append((client, None))
    return sorted(found, key=lambda each: astuple(each[0]))


def fingerprint(rows: list[Access]) -> str:
    """SHA-256 of who may do what where. When people signed in last does not change it."""
    text = "\n".join("\t".join(astuple(each)[:-1]) for each in rows)
    return hashlib.sha256(text.encode()).hexdigest()


def as_csv(rows: list[Access]) -> str:
    """The list for a spreadsheet; no cell of it can run there."""
    made = io.StringIO()
    writer = csv.writer(made)
    writer.writerow(HEAD)
    writer.writerows([harmless(cell) for cell in astuple(each)] for each in rows)
    return made.getvalue()


def record_access_review(study: Study, *, seen: str, notes: str, by: Actor) -> AnyReview:
    """Record that a person looked through the list with the fingerprint `seen`.

    Raises `Invalid` without notes, and `Problem` when the list has changed since it was shown.
    """
    if not notes.strip():
        raise Invalid({"notes": "Write what you looked at and what you found."})
    with act("review access", by=by, why=notes):
        rows = who_has_access(study)
        if fingerprint(rows) != seen:
            raise Problem(
                code="access_changed",
                title="The list has changed since you opened this page.",
                action="Nothing was saved. Look at the list as it is now, and send this again.",
            )
        return _of_this_side().objects.create(
            study=study,
            reviewed_by=by.label,
            reviewed_at=datetime.now(UTC),
            rows=len(rows),
            sha256=seen,
            notes=notes.strip(),
        )


def newest_reviews(study: Study, most: int) -> list[AnyReview]:
    """The reviews of this side, newest first."""
    return list(_of_this_side().objects.filter(study=study).order_by("-reviewed_at")[:most])


def last_review(study: Study) -> AnyReview | None:
    """The newest review, or None."""
    return next(iter(newest_reviews(study, 1)), None)


def is_due(review: AnyReview | None) -> bool:
    """True when nobody has looked for 90 days. Real time counts, also during a replay."""
    return review is None or datetime.now(UTC) - review.reviewed_at > EVERY


def remind(study: Study) -> bool:
    """Queue a letter to those who review access, once for each period of 90 days without a review.

    Asking again changes nothing: the letter's key names the last review and the period. Returns
    True when a review is due.
    """
    last = last_review(study)
    if not is_due(last):
        return False
    since = last.reviewed_at if last else study.created_at
    period = (datetime.now(UTC) - since) // EVERY
    key = f"{DUE}-{study.pk}-{last.pk if last else 0}-{period}"
    with act("remind of the access review", by=SYSTEM):
        outbox.queue(study, DUE, key=key, refs={"review": last.pk if last else 0})
    return True


def _of_this_side() -> type[AnyReview]:
    return UnblindedAccessReview if settings.SIDE == "unblinded" else AccessReview


def _access(held: StudyRole | CentreRole, place: str) -> tuple[Access, int | None]:
    user: User = held.user
    access = Access(
        person=user.name,
        email=user.email,
        role=held.get_role_display(),
        place=place,
        first_day=held.since.isoformat(),
        last_day=held.until.isoformat() if held.until else "",
        account="open" if user.is_active else "closed",
        last_sign_in=f"{user.last_login:%Y-%m-%dT%H:%MZ}" if user.last_login else "never",
    )
    return access, user.pk
