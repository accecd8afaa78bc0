"""The stream of random words behind a randomization list: ChaCha20 (RFC 8439).

A cipher's key stream is fixed for ever by its standard, which a language's own random module
is not. docs/algorithms/list.md specifies every step.
"""

import hashlib
import struct
from collections.abc import Iterator

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

SEED_BYTES = 32
NONCE_BYTES = 12

_SPAN = 2**32
_FIRST_COUNTER = bytes(4)
# One call into the cipher per 1,024 words, not per word: a million entries take seconds.
_CHUNK = bytes(4096)
_CHUNK_FORMAT = struct.Struct("<1024I")


class SeedError(ValueError):
    """The seed is not 32 bytes. The message never shows the seed."""


def require_seed(seed: bytes) -> None:
    """Raise SeedError unless `seed` is a `bytes` of exactly 32."""
    if not isinstance(seed, bytes):
        raise SeedError(f"The seed must be bytes, not {type(seed).__name__}.")
    if len(seed) != SEED_BYTES:
        raise SeedError(
            f"The seed has {len(seed)} bytes; it must have exactly {SEED_BYTES}. "
            "Draw it with secrets.token_bytes(32)."
        )


def stratum_nonce(algorithm: str, study: str, stratum: str) -> bytes:
    """The 12-byte ChaCha20 nonce of one stratum of one study.

    algorithm: name and version, for example "permuted-blocks/1". SHA-256 of label, study code and
    stratum key, joined by line feeds in UTF-8; first 12 bytes. Design texts hold no line feed
    (ListDesign refuses them), so the join cannot be ambiguous.
    """
    text = "\n".join((f"iwrs {algorithm} stratum", study, stratum))
    return hashlib.sha256(text.encode("utf-8")).digest()[:NONCE_BYTES]


class KeyStream:
    """ChaCha20 key stream read as little-endian 32-bit words, from block counter 0.

    key: the 32-byte seed; nonce: 12 bytes, from `stratum_nonce`.
    Source: RFC 8439, sections 2.3 and 2.4. Raises SeedError or ValueError for wrong lengths.
    """

    def __init__(self, key: bytes, nonce: bytes) -> None:
        require_seed(key)
        if len(nonce) != NONCE_BYTES:
            raise ValueError(f"The nonce has {len(nonce)} bytes; it must have {NONCE_BYTES}.")
        # The library takes the 32-bit block counter and the RFC's nonce as one 16-byte value.
        cipher = Cipher(algorithms.ChaCha20(key, _FIRST_COUNTER + nonce), mode=None)
        self._encryptor = cipher.encryptor()
        self._words = self._read()

    def _read(self) -> Iterator[int]:
        while True:
            # Zeros enciphered are the key stream itself.
            yield from _CHUNK_FORMAT.unpack(self._encryptor.update(_CHUNK))

    def word(self) -> int:
        """The next word, 0 to 2^32 - 1."""
        return next(self._words)

    def below(self, bound: int) -> int:
        """A uniform integer from 0 to bound - 1, by rejection; 1 <= bound <= 2^32.

        Words from the largest multiple of `bound` up are thrown away: the remainder alone would
        favour small values. Reads at least one word, also when bound is 1.
        Raises ValueError for a bound outside the range.
        """
        if not 1 <= bound <= _SPAN:
            raise ValueError(f"The bound is {bound}; it must be from 1 to 2^32.")
        limit = _SPAN - _SPAN % bound
        word = next(self._words)
        while word >= limit:
            word = next(self._words)
        return word % bound
