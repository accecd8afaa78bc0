"""Letters with a one-time link by which a person sets a password: who gets one, and how many.

The link itself is made when the letter is written (`enrolment.letters`): no row ever holds it.
"""

from collections.abc import Iterable
from datetime import timedelta

import structlog
from allauth.socialaccount.models import SocialAccount
from django.db import connection, transaction
from django.db.models.functions import Now

from iwrs.accounts.events import Caller, record
from iwrs.accounts.models import SignInEvent, User
from iwrs.actors import Actor
from iwrs.locks import lock
from iwrs.problems import Problem

log = structlog.get_logger(__name__)
What = SignInEvent.What
MOST_LETTERS, WITHIN = 3, timedelta(hours=1)  # of one kind to one account, by the database's clock
MOST_ASKED = 20  # times within an hour, from one address of a caller, for whatever accounts
LETTER = "letter"  # in `method`: a letter goes out because of this row
_CALLER, _TYPED = 3, 4  # first keys of the advisory locks while requests are counted


def waiting(users: Iterable[User]) -> set[int]:
    """Keys of those open accounts that nobody has used yet: they wait for a first password.

    Who signs in through a directory has no password either, and lives: whoever got a link for
    such an account could sign in, and sign, in that person's name.
    """
    unused = [
        each
        for each in users
        if each.is_active and not each.has_usable_password() and each.last_login is None
    ]
    linked = SocialAccount.objects.filter(user__in=unused).values_list("user_id", flat=True)
    return {each.pk for each in unused} - set(linked)


def waits(user: User) -> bool:
    """True while an account was never used, see `waiting`."""
    return user.pk in waiting([user])


def ask_for_link(email: str, *, by: Caller) -> bool:
    """Somebody forgot a password and typed an address: a letter goes there if it has an account.

    Returns False when this caller asked `MOST_ASKED` times within an hour: then nothing is done.
    Nothing else is told, so that no page can tell. What was typed is not kept. An account that was
    ended gets no letter, and nobody more than `MOST_LETTERS` an hour; the row is written all the
    same. The account's row is not locked: whoever is just signing in holds it, so that waiting
    for it would tell that there is one.
    """
    with transaction.atomic():
        _count_alone(email, by)
        asked = SignInEvent.objects.filter(
            what=What.LINK_ASKED, address=by.address, at__gt=Now() - WITHIN
        )
        if asked.count() >= MOST_ASKED:
            log.warning("links asked for too often", address=by.address)
            return False
        user = User.objects.filter(email__iexact=email.strip()).first()
        goes_out = user is not None and user.is_active and _may_get(What.LINK_ASKED, user)
        record(What.LINK_ASKED, user, by=by, method=LETTER if goes_out else "")
    return True


def invite(user: User, *, by: Actor) -> bool:
    """Send an invitation to a person who has not used the account yet, within an open act.

    Returns False, and sends nothing, when the last hour had `MOST_LETTERS` of them already. Each
    invitation is another letter with a link of its own.
    """
    row = lock(User.objects, user.pk)
    if not waits(row) or not _may_get(What.INVITED, row):
        return False
    record(What.INVITED, row, by=Caller(), method=LETTER, done_by=by.label)
    return True


def too_many_letters() -> Problem:
    """What a person reads who sends one invitation too many."""
    return Problem(
        code="too_many_letters",
        title=f"{MOST_LETTERS} invitations went to this person within an hour.",
        action="No further letter was sent. Wait an hour, then send it again.",
        status=429,
    )


def used_already() -> Problem:
    """What a person reads who invites somebody who has just begun to use the account."""
    return Problem(
        code="account_used",
        title="This person uses the account already.",
        action='No letter was sent. "Forgot your password?" at the sign-in page gives a new link.',
    )


def _count_alone(email: str, by: Caller) -> None:
    """Let requests of one caller, and those for one typed address, be counted one by one.

    By what was sent alone, so that it is the same whether or not there is an account.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(%s, hashtext(%s)),"
            " pg_advisory_xact_lock(%s, hashtext(%s))",
            [_CALLER, by.address or "", _TYPED, email.strip().lower()],
        )


def _may_get(what: SignInEvent.What, user: User) -> bool:
    """Each kind has its own count: a stranger who asks uses up nobody's invitations."""
    sent = SignInEvent.objects.filter(user=user, what=what, method=LETTER, at__gt=Now() - WITHIN)
    return sent.count() < MOST_LETTERS
