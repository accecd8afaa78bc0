"""The letter that says: somebody could not sign."""

from django.conf import settings
from django.template.loader import render_to_string

from iwrs.accounts.models import Role, User
from iwrs.models import OutboxMessage
from iwrs.outbox import Letter, addresses, writes

LOCKED = "signing-locked"


@writes(LOCKED)
def signing_locked(message: OutboxMessage) -> Letter:
    """Three wrong tries to sign: a mistake, or somebody at a session left open."""
    study = message.study
    body = render_to_string(
        "signatures/mail/signing_locked.txt",
        {
            "person": User.objects.get(pk=message.refs["account"]),
            "at": message.created_at,
            "study": study,
            "portal": settings.PORTAL_URL,
        },
    )
    to = {*addresses(study, Role.STUDY_MANAGER), *addresses(study, Role.ADMINISTRATOR)}
    return Letter(
        to=tuple(sorted(to)), subject=f"[{study.code}] Signing locked after wrong tries", body=body
    )
