"""JSON bodies, read strictly."""

import json
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser


class OneJsonObject(JSONParser):
    """A body is one JSON object (RFC 8259) in UTF-8; a name may stand in it once only.

    NaN, Infinity and nesting too deep to read are refused like any other malformed text.
    """

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        try:
            parsed = json.loads(
                stream.read().decode("utf-8"),
                object_pairs_hook=_once,
                parse_constant=_no_constant,
            )
        except (ValueError, RecursionError) as error:
            raise ParseError from error
        if not isinstance(parsed, dict):
            raise ParseError
        return parsed


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return members


def _no_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
