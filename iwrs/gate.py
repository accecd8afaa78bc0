"""The only calls from the blinded side to what knows the arm.

The functions live in schema `gate` (see `iwrs/sql/gates/`). They return a kit's key or nothing,
and on refusal one fixed text with one of the codes below. Each code depends on blinded facts only.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError, OperationalError, connection

from iwrs.problems import Problem

REFUSALS: dict[str, tuple[str, str, str, int]] = {
    "IW001": (
        "not_ready_to_randomize",
        "This subject is not ready to be randomized.",
        "Check consent, screening and eligibility answers on the subject's page.",
        409,
    ),
    "IW002": (
        "no_place",
        "The study cannot randomize this subject now.",
        "Nothing was changed. Please call the study's help desk.",
        409,
    ),
    "IW003": (
        "no_kit",
        "No kit can be assigned at this centre now.",
        "Nothing was changed. New kits must arrive at the centre first; then try again.",
        409,
    ),
    "IW004": (
        "code_break_budget",
        "No more code breaks are allowed in this study for now.",
        "Call the study's safety physician. The study manager has been told.",
        429,
    ),
    "IW005": (
        "code_break_refused",
        "This code break cannot be shown.",
        "A code break is shown once. Make a new request if you need it again.",
        409,
    ),
    "IW006": (
        "code_break_expired",
        "This request is too old: the treatment is shown within 15 minutes of a request.",
        "Make a new request if you still need the treatment.",
        410,
    ),
    "IW009": (
        "gate_alarm",
        "Allocation is paused because too many attempts were not completed.",
        "Nothing was changed. Please call the study's help desk; unblinded staff can release it.",
        503,
    ),
    "IW010": (
        "both_sides",
        "Somebody with this e-mail address works on the other side of the blind in this study.",
        "Nothing was saved. One person never works on both sides: choose another person.",
        409,
    ),
    "IW011": (
        "paper_number_needed",
        "A paper number was accepted for this subject.",
        "Nothing was changed. Enter the randomization that was made on paper, with that number.",
        409,
    ),
    "IW500": (
        "gate_failed",
        "The act could not be completed.",
        "Nothing was changed. Please try again; if it happens again, call the help desk.",
        503,
    ),
}
_BUSY = {"55P03", "40001", "40P01"}


@contextmanager
def refusals() -> Iterator[None]:
    """Turn a refusal of the gate (or a lock that was not free in time) into a `Problem`."""
    try:
        yield
    except DatabaseError as error:
        state = getattr(error.__cause__, "sqlstate", None)
        if state in REFUSALS:
            code, title, action, status = REFUSALS[state]
            # `from None`: the driver's exception must not reach a log or an error page.
            raise Problem(code=code, title=title, action=action, status=status) from None
        if isinstance(error, OperationalError) and state in _BUSY:
            raise Problem(
                code="busy",
                title="Somebody else is changing the same record.",
                action="Nothing was changed. Please try again in a few seconds.",
                status=503,
            ) from None
        raise


def call(function: str, *arguments: Any) -> Any:
    """Call one gate function and return its single value."""
    places = ", ".join(["%s"] * len(arguments))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT gate.{function}({places})", arguments)
        row = cursor.fetchone()
    return row[0] if row else None
