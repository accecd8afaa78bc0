"""A seed from two people, of whom neither alone knows or steers it. See docs/algorithms/list.md.

Each draws a share and gives its commitment; when both commitments stand, each gives the share.
"""

import hashlib
import re

SPLIT = "split-seed/1"
SEED_LABEL = f"iwrs {SPLIT} seed"
SHARE_BYTES = 32
_LEAST_DIFFERENT = 12  # different bytes; 32 random bytes have fewer about once in 10^18 draws

_HEX = re.compile(r"[0-9a-f]{64}")


class ShareError(ValueError):
    """A text that is no share or no commitment. The message never shows it."""


def share_text(typed: str) -> str:
    """A share as it is hashed: 64 lower-case hexadecimal digits, without spaces.

    Raises ShareError for anything else, and for a share that nobody drew, such as 64 zeros.
    """
    text = _digits(typed, "share")
    if len(set(bytes.fromhex(text))) < _LEAST_DIFFERENT:
        raise ShareError("This share was not drawn at random: too many of its bytes are equal.")
    return text


def commitment_text(typed: str) -> str:
    """A commitment as it is kept: 64 lower-case hexadecimal digits. Raises ShareError."""
    return _digits(typed, "commitment")


def commitment_of(share: str) -> str:
    """SHA-256 of the 64 characters of a share, in hexadecimal. It tells nothing of the share."""
    return hashlib.sha256(share.encode("ascii")).hexdigest()


def split_seed(study: str, number: int, shares: tuple[str, str]) -> bytes:
    """The 32-byte seed of two shares, in the order in which their commitments were given.

    study and number (of the split seed in its study) keep shares used again from giving one seed.
    """
    text = "\n".join((SEED_LABEL, study, str(number), *shares))
    return hashlib.sha256(text.encode("utf-8")).digest()


def _digits(typed: str, what: str) -> str:
    text = "".join(typed.split()).lower()
    if not _HEX.fullmatch(text):
        raise ShareError(
            f"A {what} has 64 hexadecimal digits (0 to 9, a to f); this text has {len(text)} "
            "characters or others among them."
        )
    return text
