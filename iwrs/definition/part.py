"""The base of every table of the study file."""

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A table of the study file: frozen, and with no key that is not known."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", serialize_by_alias=True, validate_default=True
    )
