"""E-mails that an act causes: a row in the act's transaction, sent afterwards, at least once.

A row names a topic and primary keys. The letter is written when it is sent, by the room that owns
the topic (`letters.py` in each room), so that nothing about a subject rests in the queue.

Each side has a table of its own, and its own worker sends what is in it. The unblinded side's takes
letters about its accounts only (`StaffLetter`): what it knows of a list leaves in none.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parseaddr
from typing import Any

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection, transaction
from django.db.models import F, Q
from django.utils import timezone
from django.utils.module_loading import autodiscover_modules

from iwrs import clock
from iwrs.accounts.models import UNBLINDED_ROLES, Role, StudyRole
from iwrs.models import Message, OutboxMessage, StaffLetter, Study
from iwrs.permissions import Act, may

LONGEST_WAIT = timedelta(hours=6)
TRAINING = "This study is for training: no real person is concerned."
SIMULATED = "This study is simulated: no real person is concerned."
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Letter:
    """A plain-text e-mail. It names a subject by number and centre only, and never an arm."""

    to: tuple[str, ...]
    subject: str
    body: str


class NotNeeded(Exception):
    """Meanwhile there is nothing to say; the message is closed without being sent."""


class NobodyToWriteTo(Exception):
    """No account has the role that the letter is for; it is tried again later."""


class UnknownTopic(Exception):
    """No room writes letters of this topic."""


Writer = Callable[[Message], Letter]
_writers: dict[str, Writer] = {}


def writes(topic: str) -> Callable[[Writer], Writer]:
    """Register the function that writes the letters of one topic."""

    def register(writer: Writer) -> Writer:
        _writers[topic] = writer
        return writer

    return register


def queue(
    study: Study, topic: str, *, key: str, refs: dict[str, int], due_at: datetime | None = None
) -> None:
    """Queue one message within an open act. A `key` that was queued before changes nothing.

    `refs` maps names to primary keys. `due_at` is real time (default: at once).
    """
    queue_many(study, topic, [(key, refs)], due_at=due_at)


def queue_many(
    study: Study,
    topic: str,
    keys_and_refs: Iterable[tuple[str, dict[str, int]]],
    *,
    due_at: datetime | None = None,
) -> None:
    """Queue many messages of one topic within an open act."""
    if not connection.in_atomic_block:
        raise RuntimeError("queue() needs an open act: a message belongs to what caused it")
    due_at = due_at or timezone.now()
    own: Any = _own()
    own.objects.bulk_create(
        [
            own(
                study=study,
                kind=Message.Kind.EMAIL,
                topic=topic,
                key=f"staff-{key}" if own is StaffLetter else key,
                refs=refs,
                due_at=due_at,
            )
            for key, refs in keys_and_refs
        ],
        batch_size=1000,
        ignore_conflicts=True,
    )


def deliver_due(limit: int = 100) -> int:
    """Try up to `limit` messages that are due, each in a transaction of its own.

    Returns how many were tried. Two workers never take the same message. One that fails is tried
    again later: after 2, 4, 8 ... minutes, at most every six hours.
    """
    for tried in range(limit):
        if not _deliver_next():
            return tried
    return limit


def addresses(study: Study, role: str) -> tuple[str, ...]:
    """E-mail addresses of the active people who hold a study-wide role today."""
    held = StudyRole.objects.filter(in_force(), study_code=study.code, role=role)
    return tuple(held.order_by("user__email").values_list("user__email", flat=True))


def who_may(study: Study, act: Act) -> tuple[str, ...]:
    """E-mail addresses of the active people whose study-wide role lets them do this today."""
    return _holders(study, [role for role in Role if may(role, act)])


def opening(study: Study) -> str:
    """How every letter about a study begins that is for training or simulated."""
    said = [TRAINING] * study.training + [SIMULATED] * study.simulated
    return "".join(f"{each}\n\n" for each in said)


def in_force(time_zone: str = "UTC") -> Q:
    """Roles that active people hold today, by the real calendar of the place."""
    today = clock.real_today(time_zone)
    return Q(since__lte=today, user__is_active=True) & (Q(until=None) | Q(until__gte=today))


def told_of_locks(study: Study) -> tuple[str, ...]:
    """Who learns that an account or signing was locked: those who look after the study's people.

    Nobody does on the unblinded site, so all its people in the study learn it.
    """
    if settings.SIDE == "blinded":
        return who_may(study, Act.MANAGE_PEOPLE)
    return _holders(study, UNBLINDED_ROLES)


def _holders(study: Study, roles: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({each for role in roles for each in addresses(study, role)}))


def _own() -> type[OutboxMessage] | type[StaffLetter]:
    return StaffLetter if settings.SIDE == "unblinded" else OutboxMessage


def _deliver_next() -> bool:
    with transaction.atomic():
        message = (
            _own()
            .objects.select_for_update(skip_locked=True, no_key=True)
            .filter(sent_at=None, due_at__lte=timezone.now())
            .order_by("due_at", "pk")
            .first()
        )
        if message is None:
            return False
        try:
            with transaction.atomic():  # a failed query must not take the message's row with it
                letter = _write(message)
            _send(message, letter)
        except NotNeeded as reason:
            _close(message, type(reason).__name__)
        except Exception as error:  # one letter that cannot be sent must not stop the others
            _try_later(message, type(error).__name__)
        else:
            _close(message, "")
        return True


def _write(message: Message) -> Letter:
    if message.topic not in _writers:
        autodiscover_modules("letters")
    if message.topic not in _writers:
        raise UnknownTopic(message.topic)
    letter = _writers[message.topic](message)
    if not letter.to:
        raise NobodyToWriteTo(message.topic)
    return letter


def _send(message: Message, letter: Letter) -> None:
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    email = EmailMessage(
        subject=letter.subject,
        body=opening(message.study) + letter.body,
        to=list(letter.to),
        # The same on every attempt, so that a letter sent twice can be seen as one.
        headers={"Message-ID": f"<{message.key}@{domain}>"},
    )
    email.send()


def _close(message: Message, reason: str) -> None:
    _own().objects.filter(pk=message.pk).update(
        sent_at=timezone.now(), attempts=F("attempts") + 1, last_error=reason
    )


def _try_later(message: Message, error: str) -> None:
    wait = min(timedelta(minutes=2 ** min(message.attempts + 1, 10)), LONGEST_WAIT)
    _own().objects.filter(pk=message.pk).update(
        due_at=timezone.now() + wait, attempts=F("attempts") + 1, last_error=error
    )
    log.warning("letter not sent", topic=message.topic, message=message.pk, error=error)
