"""Who does an act: a person, an EDC client, or the system itself."""

from dataclasses import dataclass

CLIENT = "EDC client "  # how the label of every client begins
LONGEST_LABEL = 200  # characters: the columns that say who recorded something take no more


@dataclass(frozen=True)
class Actor:
    """The acting party as the audit trail names it.

    `label` is what people read ("Dr Ana Silva <ana@example.org>", "EDC client Rave"),
    `kind` is `person`, `client` or `system`, `key` is the account's or client's primary key.
    """

    label: str
    kind: str = "system"
    key: str = ""
    role: str = ""

    @classmethod
    def person(cls, user: object, role: str = "") -> "Actor":
        return cls(label=str(user), kind="person", key=str(getattr(user, "pk", "")), role=role)

    @classmethod
    def client(cls, client: object) -> "Actor":
        return cls(label=f"{CLIENT}{client}", kind="client", key=str(getattr(client, "pk", "")))


SYSTEM = Actor(label="System")
