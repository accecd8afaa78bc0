"""The letter that says: somebody could not sign."""

from django.conf import settings
from django.template.loader import render_to_string

from iwrs.accounts.models import User
from iwrs.models import Message
from iwrs.outbox import Letter, told_of_locks, writes

LOCKED = "signing-locked"


@writes(LOCKED)
def signing_locked(message: Message) -> Letter:
    """Three wrong tries to sign: a mistake, or somebody at a session left open."""
    study = message.study
    body = render_to_string(
        "signatures/mail/signing_locked.txt",
        {
            "person": User.objects.get(pk=message.refs["account"]),
            "at": message.created_at,
            "study": study,
            "portal": settings.PORTAL_URL,
            "ends_accounts": settings.SIDE == "blinded",  # no page of the other site does
        },
    )
    subject = f"[{study.code}] Signing locked after wrong tries"
    return Letter(to=told_of_locks(study), subject=subject, body=body)
