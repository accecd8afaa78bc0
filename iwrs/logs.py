"""What no log line may carry, whoever writes it: secrets that stand in an address."""

import re
from collections.abc import MutableMapping
from typing import Any

# A link that sets a password works once; until then it is the password.
_LINK = re.compile(r"(/set-password/)[^/\s?\"']+/[^/\s?\"']+")
# What a sponsor's directory sends back in an address: exchanged at once, and useless afterwards.
_ANSWER = re.compile(r"([?&](?:code|state|token|id_token|access_token)=)[^&\s\"']+")


def without_secrets(
    logger: Any, method: str, line: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Take one-time links and a directory's answers out of every text of a log line."""
    for name, value in line.items():
        if isinstance(value, str):
            line[name] = clean(value)
    return line


def clean(text: str) -> str:
    """The text with `[removed]` where a secret of an address stood."""
    return _ANSWER.sub(r"\1[removed]", _LINK.sub(r"\1[removed]", text))
