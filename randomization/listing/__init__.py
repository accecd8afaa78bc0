"""The randomization list: pure functions of a design and a seed. See docs/algorithms/list.md."""

from .generator import Entry, ListDesign, ListDesignError, entries_of, generate
from .keystream import SEED_BYTES, SeedError
from .merkle import COMMITMENT, Commitment, CommitmentError, Proof, commit, prove, root_of, verify

__all__ = [
    "COMMITMENT",
    "SEED_BYTES",
    "Commitment",
    "CommitmentError",
    "Entry",
    "ListDesign",
    "ListDesignError",
    "Proof",
    "SeedError",
    "commit",
    "entries_of",
    "generate",
    "prove",
    "root_of",
    "verify",
]
