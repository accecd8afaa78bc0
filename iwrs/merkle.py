"""The Merkle tree of RFC 6962, section 2.1, with SHA-256. It knows no Django.

Leaves and inner nodes are hashed under different first bytes, so that neither passes for the other.
"""

import hashlib
from collections.abc import Sequence

HASH_BYTES = 32
LEAF = b"\x00"
NODE = b"\x01"

Level = list[bytes]


def leaf_hash(content: bytes) -> bytes:
    """The hash of a leaf with this content."""
    return hashlib.sha256(LEAF + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of the node above two others."""
    return hashlib.sha256(NODE + left + right).digest()


def levels(leaves: Sequence[bytes]) -> list[Level]:
    """Every level of the tree over leaf hashes: leaves first, root last. At least one leaf.

    Pairing from the left and lifting an odd last node unchanged gives the same tree as the RFC's
    split at the largest power of two below the size.
    """
    found = [list(leaves)]
    while len(found[-1]) > 1:
        below = found[-1]
        above = [node_hash(below[at], below[at + 1]) for at in range(0, len(below) - 1, 2)]
        if len(below) % 2:
            above.append(below[-1])
        found.append(above)
    return found


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes. At least one leaf."""
    return levels(leaves)[-1][0]
