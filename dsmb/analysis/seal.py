"""Sealing: files -> zip -> zip of one fixed size -> age ciphertext of one fixed size.

The padding is a member of the zip, so that whoever decrypts the file with the `age` program holds
a plain zip that `unzip` opens; `padding.bin` in it is zeros and may be thrown away. (A zip comment
could not do it: it ends at 64 KiB.)

The age library adds a decoy stanza of random length to the header ("grease", so that readers learn
to ignore stanzas they do not know). That length says nothing of the content, yet it would make
every ciphertext's size different; `seal` therefore encrypts until the header has the one length
that `ciphertext_size` announces. Each attempt has a fresh file key and stops after the header.

Source of the format: age-encryption.org/v1 (C2SP specification).
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence

import pyrage

PADDING_NAME = "padding.bin"
# What one more stored member costs: local header 30, central directory entry 46, its name in both.
PADDING_COST = 30 + 46 + 2 * len(PADDING_NAME)
LARGEST_SIZE = 1 << 30
EARLIEST = (1980, 1, 1, 0, 0, 0)

HEADER_FIXED = 22 + 48  # the version line, and "--- " with the header's MAC
STANZA = 98  # one X25519 recipient
GREASE = 116  # the decoy's length that is waited for: about one attempt in 120 has it
NONCE, CHUNK, TAG = 16, 65536, 16
MOST_ATTEMPTS = 20_000


class SealError(ValueError):
    """Sealing or opening failed; the text never carries content or keys."""


class PackageTooLarge(SealError):
    """The package does not fit the announced size.

    `needed` follows from unblinded content: show it to the unblinded side only.
    """

    def __init__(self, *, needed: int, allowed: int) -> None:
        super().__init__(f"the package needs {needed} bytes, {allowed} are allowed")
        self.needed, self.allowed = needed, allowed


class _OtherLength(Exception):
    """The header of this attempt has another length than the announced one."""


def pack(files: Mapping[str, bytes]) -> bytes:
    """Zip with equal bytes for equal files: sorted names, no times, members stored.

    Stored and not deflated, since the output of zlib changes with its version and the padding
    would undo the saving.
    """
    for name in files:
        if not name or name == PADDING_NAME or "/" in name or "\\" in name or name.startswith("."):
            raise SealError(f"{name!r} cannot be the name of a file in a package")
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            archive.writestr(_member(name), files[name])
    return target.getvalue()


def pad(payload: bytes, *, size: int) -> bytes:
    """The zip `payload` with a member of zeros that makes it exactly `size` bytes.

    Raises `PackageTooLarge` when it cannot fit, `SealError` when `size` is over 1 GiB.
    """
    if size > LARGEST_SIZE:
        raise SealError(f"a package size of {size} bytes is over the limit of {LARGEST_SIZE}")
    needed = len(payload) + PADDING_COST
    if needed > size:
        raise PackageTooLarge(needed=needed, allowed=size)
    target = io.BytesIO(payload)
    with zipfile.ZipFile(target, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(_member(PADDING_NAME), bytes(size - needed))
    return target.getvalue()


def ciphertext_size(size: int, recipients: int) -> int:
    """Bytes of every sealed package of `size` padded bytes for that many recipients."""
    chunks = max(1, -(-size // CHUNK))
    return _header_size(recipients) + NONCE + size + TAG * chunks


def seal(payload: bytes, recipients: Sequence[str]) -> bytes:
    """Encrypt `payload` to age public keys (`age1...`); the size is `ciphertext_size`'s.

    Raises `SealError` when there is no recipient, and when a key is malformed or given twice,
    saying which by its place in the list, from 1.
    """
    keys = _recipients(recipients)
    size, header = ciphertext_size(len(payload), len(keys)), _header_size(len(keys))
    for _ in range(MOST_ATTEMPTS):
        target = _FixedHeader(header)
        try:
            pyrage.encrypt_io(io.BytesIO(payload), target, keys)
        except pyrage.EncryptError:
            if not target.refused:
                raise SealError("the package could not be encrypted") from None
        # A short payload is written in one piece at the end, where no error can stop it.
        if not target.refused and target.tell() == size:
            return target.getvalue()
    raise SealError(
        f"no header of {header} bytes in {MOST_ATTEMPTS} attempts: this version of the age "
        "library writes other headers than the one the sizes were announced for"
    )


def unseal(ciphertext: bytes, identity_text: str) -> dict[str, bytes]:
    """Files of a sealed package, without the padding.

    `identity_text` is an age identity file: comments and one or more `AGE-SECRET-KEY-1...` lines.
    Raises `SealError` when no key in it opens the package or the content is not a package.
    """
    try:
        payload = pyrage.decrypt(ciphertext, _identities(identity_text))
    except pyrage.DecryptError:
        raise SealError(
            "the package cannot be opened: it is damaged, or sealed to other recipients"
        ) from None
    return unpack(payload)


def unpack(payload: bytes) -> dict[str, bytes]:
    """Files of a packed, perhaps padded, zip without the padding."""
    try:
        with zipfile.ZipFile(io.BytesIO(payload)) as archive:
            return {n: archive.read(n) for n in archive.namelist() if n != PADDING_NAME}
    except zipfile.BadZipFile:
        raise SealError("the decrypted file is not a package (not a zip)") from None


class _FixedHeader(io.BytesIO):
    """Takes what the encryption writes and refuses once the header has another length."""

    def __init__(self, expected: int) -> None:
        super().__init__()
        self.expected, self.refused, self._checked = expected, False, False

    def write(self, written: bytes, /) -> int:  # type: ignore[override]
        count = super().write(written)
        if not self._checked and self.tell() >= self.expected:
            self._checked = True
            header = self.getvalue()[: self.expected]
            last_line = header[-48:]
            self.refused = not (last_line.startswith(b"--- ") and last_line.endswith(b"\n"))
        if self.refused:
            raise _OtherLength
        return count


def _header_size(recipients: int) -> int:
    return HEADER_FIXED + STANZA * recipients + GREASE


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, date_time=EARLIEST)
    member.create_system = 3  # as on Unix, whatever the machine
    member.external_attr = 0o600 << 16
    return member


def _recipients(texts: Sequence[str]) -> list[pyrage.x25519.Recipient]:
    if not texts:
        raise SealError("a package needs at least one recipient")
    keys, seen = [], set()
    for place, text in enumerate((text.strip() for text in texts), start=1):
        if text in seen:
            raise SealError(f"recipient {place} of {len(texts)} has the key of an earlier one")
        seen.add(text)
        try:
            keys.append(pyrage.x25519.Recipient.from_str(text))
        except pyrage.RecipientError:
            raise SealError(
                f"recipient {place} of {len(texts)}: not an age public key (age1...)"
            ) from None
    return keys


def _identities(text: str) -> list[pyrage.x25519.Identity]:
    lines = [line.strip() for line in text.splitlines()]
    try:
        keys = [
            pyrage.x25519.Identity.from_str(line)
            for line in lines
            if line and not line.startswith("#")
        ]
    except pyrage.IdentityError:
        raise SealError("the identity is not an age secret key (AGE-SECRET-KEY-1...)") from None
    if not keys:
        raise SealError("the identity file holds no age secret key (AGE-SECRET-KEY-1...)")
    return keys
