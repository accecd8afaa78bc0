"""Letters with a one-time link by which a person sets a password: who gets one, and how many.

The link itself is made when the letter is written (`enrolment.letters`): no row ever holds it.
"""

from datetime import timedelta

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from iwrs.accounts.events import Caller, record
from iwrs.accounts.models import SignInEvent, User
from iwrs.actors import Actor
from iwrs.problems import Problem

What = SignInEvent.What
MOST_LETTERS, WITHIN = 3, timedelta(hours=1)  # for one account, by the database's clock
LETTER = "letter"  # in `method`: a letter goes out because of this row


def ask_for_link(email: str, *, by: Caller) -> None:
    """Somebody forgot a password and typed an address: a letter goes there if it has an account.

    Nothing is returned, so that no page can tell. What was typed is not kept. An account that was
    ended gets no letter, and nobody more than `MOST_LETTERS` an hour; the row is written all the
    same. The account's row is locked while letters are counted.
    """
    with transaction.atomic():
        user = User.objects.select_for_update().filter(email__iexact=email.strip()).first()
        goes_out = user is not None and user.is_active and _may_get_letter(user)
        record(What.LINK_ASKED, user, by=by, method=LETTER if goes_out else "")


def invite(user: User, *, by: Actor) -> bool:
    """Send an invitation to a person without a password, within an open act.

    Returns False, and sends nothing, when the last hour had `MOST_LETTERS` already, and on the
    unblinded side, which writes no letters. Each invitation is another letter with a link of its
    own.
    """
    if settings.SIDE != "blinded":
        return False
    row = User.objects.select_for_update().get(pk=user.pk)
    if not row.is_active or row.has_usable_password() or not _may_get_letter(row):
        return False
    record(What.INVITED, row, by=Caller(), method=LETTER, done_by=by.label)
    return True


def too_many_letters() -> Problem:
    """What a person reads who sends one invitation too many."""
    return Problem(
        code="too_many_letters",
        title=f"{MOST_LETTERS} letters went to this person within an hour.",
        action="No further letter was sent. Wait, or give the link on this page yourself.",
        status=429,
    )


def _may_get_letter(user: User) -> bool:
    sent = SignInEvent.objects.filter(
        user=user, what__in=[What.INVITED, What.LINK_ASKED], method=LETTER, at__gt=Now() - WITHIN
    )
    return sent.count() < MOST_LETTERS
