"""Random order for kits: which number a kit bears, and in which order kits are kept. No Django."""

import secrets

from dispensing.kit_number import with_check_digit
from randomization.listing.generator import shuffle
from randomization.listing.keystream import NONCE_BYTES, KeyStream

# The first digit is never 0: a spreadsheet would drop it.
FIRST, LAST = 100_000, 999_999


def stream(purpose: str, seed: bytes | None = None) -> KeyStream:
    """A ChaCha20 stream for one purpose ("delivery", "import"), from a new secret seed.

    A given `seed` (32 bytes) makes the order repeatable: for validation runs only.
    """
    nonce = purpose.encode("ascii").ljust(NONCE_BYTES, b"\0")
    return KeyStream(seed or secrets.token_bytes(32), nonce)


def draw_numbers(count: int, source: KeyStream, *, skip: int = 0) -> list[str]:
    """`count` different kit numbers in random order.

    `skip` leaves out the first ones of the same stream, so that the next delivery of a study can
    go on where the last one ended. Raises ValueError when there are not so many numbers.
    """
    span = LAST - FIRST + 1
    if count < 0 or skip < 0 or count + skip > span // 2:
        raise ValueError(f"At most {span // 2} kit numbers can be drawn for one study.")
    drawn: dict[int, None] = {}
    while len(drawn) < count + skip:
        drawn[FIRST + source.below(span)] = None
    return [with_check_digit(str(payload)) for payload in list(drawn)[skip:]]


def shuffled(items: list[str], source: KeyStream) -> list[str]:
    """The items in a uniformly random order; their present order does not matter."""
    ordered = sorted(items)
    shuffle(ordered, source)
    return ordered
