"""A public commitment to a secret list: a Merkle tree over salted entries.

The root is published when the list is approved. After unblinding, entry and salt let anyone
check that nothing was changed; before, the secret salt keeps the few possible arms from being
tried one by one. Tree shape and proofs: RFC 6962, section 2.1. See docs/algorithms/list.md.
"""

import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from iwrs.merkle import HASH_BYTES, Level, leaf_hash, levels, node_hash

from .generator import NO_BLOCK, Entry
from .keystream import require_seed

COMMITMENT = "salted-merkle/1"
SALT_LABEL = b"iwrs salted-merkle/1 salt"
SALT_BYTES = 32


class CommitmentError(ValueError):
    """Entries that cannot be committed to or proved. The message never shows an arm."""


@dataclass(frozen=True)
class Commitment:
    """root and size are published together at approval; salts stay secret until unblinding.

    root: 32 bytes. size: number of entries. salts: 32 bytes each, in the order of the entries.
    """

    root: bytes
    size: int
    salts: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True)
class Proof:
    """All that is needed, with root and size, to check one entry. It tells the entry's arm.

    index: place in the whole list, from 0. path: sibling hashes, from the leaf upwards.
    """

    entry: Entry
    salt: bytes = field(repr=False)
    index: int
    size: int
    path: tuple[bytes, ...] = field(repr=False)


def commit(entries: Sequence[Entry], seed: bytes) -> Commitment:
    """Commit to the entries, in their order, with salts derived from the list's own seed.

    Raises SeedError for a seed that is not 32 bytes, CommitmentError for an empty list, for a
    (stratum, position) given twice and for an entry with no canonical form.
    """
    require_seed(seed)
    _require_distinct(entries)
    salt_key = hmac.digest(seed, SALT_LABEL, "sha256")
    salts = tuple(_salt(salt_key, entry) for entry in entries)
    return Commitment(root=root_of(entries, salts), size=len(entries), salts=salts)


def root_of(entries: Sequence[Entry], salts: Sequence[bytes]) -> bytes:
    """The 32-byte root over entries and their salts: needs no seed, so anyone can redo it.

    Raises CommitmentError for no entries, or salts that do not match them in number or length.
    """
    return levels(_leaves(entries, salts))[-1][0]


def prove(entries: Sequence[Entry], commitment: Commitment, index: int) -> Proof:
    """The proof that `entries[index]` is the entry committed to at that place.

    Raises CommitmentError when there is no such place, or when the entries are no longer those
    committed to: a proof of a changed list would be worthless.
    """
    if not 0 <= index < commitment.size:
        raise CommitmentError(f"No entry {index}: the list has places 0 to {commitment.size - 1}.")
    tree = levels(_leaves(entries, commitment.salts))
    if tree[-1][0] != commitment.root:
        raise CommitmentError(
            "The entries do not give the root committed to: the list was changed. "
            "Compare it with the list generated again from the seed."
        )
    path = _path(tree, index)
    return Proof(entries[index], commitment.salts[index], index, commitment.size, path)


def proofs(entries: Sequence[Entry], commitment: Commitment) -> Iterator[Proof]:
    """The proof of every entry, in order; the tree is built once.

    They lead to the root of these entries: whether it is the published one, `verify` says.
    """
    tree = levels(_leaves(entries, commitment.salts))
    for index, (entry, salt) in enumerate(zip(entries, commitment.salts, strict=True)):
        yield Proof(entry, salt, index, commitment.size, _path(tree, index))


def verify(
    root: bytes, entry: Entry, salt: bytes, index: int, size: int, path: Sequence[bytes]
) -> bool:
    """Whether `entry` stands at `index` of the list of `size` entries that `root` commits to.

    Anything malformed is False. Source: RFC 9162, section 2.1.3.2.
    """
    well_formed = 0 <= index < size and len(salt) == SALT_BYTES and _is_canonical(entry)
    if not well_formed or any(len(sibling) != HASH_BYTES for sibling in path):
        return False
    place, last, digest = index, size - 1, _leaf(entry, salt)
    for sibling in path:
        if last == 0:
            return False
        if place % 2 or place == last:
            digest = node_hash(sibling, digest)
            # A node without a partner rose unchanged: skip the levels where it did.
            while place % 2 == 0 and place:
                place, last = place // 2, last // 2
        else:
            digest = node_hash(digest, sibling)
        place, last = place // 2, last // 2
    return last == 0 and digest == root


def entry_bytes(entry: Entry) -> bytes:
    """Canonical form: stratum, position, block, arm joined by line feeds, in UTF-8.

    Raises CommitmentError for an entry without one (a text that is empty, has a line feed or no
    UTF-8 form; a position below 1, a block below 0).
    """
    if not _is_canonical(entry):
        raise CommitmentError(
            f"The entry at position {entry.position!r} of stratum {entry.stratum!r} has no "
            "canonical form: texts must be valid, not empty, without line feed; positions count "
            "from 1."
        )
    return f"{entry.stratum}\n{entry.position}\n{entry.block}\n{entry.arm}".encode()


def _is_canonical(entry: Entry) -> bool:
    texts = _is_canonical_text(entry.stratum) and _is_canonical_text(entry.arm)
    place, block = entry.position, entry.block
    return texts and type(place) is int and place >= 1 and type(block) is int and block >= NO_BLOCK


def _is_canonical_text(text: object) -> bool:
    if not isinstance(text, str) or not text or "\n" in text:
        return False
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _require_distinct(entries: Sequence[Entry]) -> None:
    # Two entries of one place would share a salt: opening one would let the other be guessed.
    seen: set[tuple[str, int]] = set()
    for entry in entries:
        place = (entry.stratum, entry.position)
        if place in seen:
            raise CommitmentError(
                f"Position {entry.position} of stratum {entry.stratum!r} is given twice."
            )
        seen.add(place)


def _salt(salt_key: bytes, entry: Entry) -> bytes:
    return hmac.digest(salt_key, f"{entry.stratum}\n{entry.position}".encode(), "sha256")


def _leaf(entry: Entry, salt: bytes) -> bytes:
    return leaf_hash(salt + entry_bytes(entry))


def _leaves(entries: Sequence[Entry], salts: Sequence[bytes]) -> Level:
    if not entries:
        raise CommitmentError("The list is empty: there is nothing to commit to.")
    if len(salts) != len(entries):
        raise CommitmentError(f"{len(entries)} entries but {len(salts)} salts: one each needed.")
    if any(len(salt) != SALT_BYTES for salt in salts):
        raise CommitmentError(f"Each salt must have {SALT_BYTES} bytes.")
    return [_leaf(entry, salt) for entry, salt in zip(entries, salts, strict=True)]


def _path(tree: list[Level], index: int) -> tuple[bytes, ...]:
    path = []
    for level in tree[:-1]:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        index //= 2
    return tuple(path)
