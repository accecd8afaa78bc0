"""Electronic signatures: checked at the door, then carried into the service as a value."""

from dataclasses import dataclass
from datetime import datetime

from iwrs import clock
from iwrs.accounts.models import User
from iwrs.problems import Invalid


@dataclass(frozen=True)
class Signature:
    """Who signed, when, and what the signature means (21 CFR 11.50).

    Services take a verified signature, so that a replay does not hash a password per act.
    """

    signed_by: str
    signed_at: datetime
    meaning: str


def sign(user: User, password: str, *, meaning: str) -> Signature:
    """Check the password at the moment of signing and return the signature.

    Raises `Invalid` on the field `password`.
    """
    if not user.is_active or not user.check_password(password):
        raise Invalid(
            {"password": "This is not your password."},
            title="The signature was not accepted.",
            action="Type the password of your own account. Nothing was saved.",
        )
    return Signature(signed_by=str(user), signed_at=clock.now(), meaning=meaning)
