"""What an EDC system recorded, which no person signed: an investigator confirms it by signature."""

from datetime import datetime

from iwrs.actors import CLIENT
from iwrs.problems import Problem


def is_reported(recorded_by: str) -> bool:
    """True when an EDC system recorded it. A replay or a person on the portal never did."""
    return recorded_by.startswith(CLIENT)


def require_waiting(recorded_by: str, confirmed_at: datetime | None) -> None:
    """Raise `Problem` unless an EDC system recorded it and nobody has confirmed it yet."""
    if not is_reported(recorded_by):
        raise Problem(
            code="not_reported",
            title="No EDC system recorded this.",
            action="Who records something on the portal signs it there. Nothing was signed.",
        )
    if confirmed_at is not None:
        raise Problem(
            code="already_confirmed",
            title="An investigator has confirmed this already.",
            action="The signature is on the subject's page. Nothing was signed.",
        )
