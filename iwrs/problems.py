"""What can be wrong with a request, said in one way for the portal and the API.

A `Problem` says what was wrong, where, and what to do. The API answers it as
application/problem+json (RFC 9457); the portal shows it beside the form.
"""

from dataclasses import dataclass, field


@dataclass
class Problem(Exception):
    """A refused act. Nothing was changed.

    `code` is stable for machines, `title` says what was wrong, `action` what to do next,
    `errors` maps a field name to what is wrong with it. `status` is the HTTP status.
    """

    code: str
    title: str
    action: str = ""
    errors: dict[str, str] = field(default_factory=dict)
    status: int = 409

    def __str__(self) -> str:
        return " ".join(part for part in [self.title, *self.errors.values(), self.action] if part)


class Invalid(Problem):
    """The request itself is wrong: a value is missing or not allowed."""

    def __init__(self, errors: dict[str, str], *, title: str = "", action: str = "") -> None:
        super().__init__(
            code="invalid",
            title=title or "Some answers are missing or not allowed.",
            action=action or "Please correct them and send again. Nothing was saved.",
            errors=errors,
            status=422,
        )
