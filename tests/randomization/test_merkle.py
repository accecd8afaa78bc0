"""The commitment to a list: its specification page, its proofs, and that a change shows."""

import dataclasses
import hashlib
import hmac
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iwrs.merkle import levels
from randomization.listing import (
    COMMITMENT,
    CommitmentError,
    Entry,
    Proof,
    SeedError,
    commit,
    generate,
    prove,
    root_of,
    verify,
)
from randomization.listing.merkle import entry_bytes
from tests.randomization.designs import in_blocks

PAGE = Path(__file__).parents[2] / "docs" / "algorithms" / "list.md"
VECTORS = json.loads(re.search(r"```json\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[1])
SEED = bytes.fromhex(VECTORS["seed"])
ARMS = (("A", 2), ("B", 1))


def list_of(size: int) -> tuple[Entry, ...]:
    return generate(in_blocks("S", ARMS, ("one",), (3,), size), SEED)[:size]


def list_of_page() -> tuple[Entry, ...]:
    written = VECTORS["design"]
    arms = tuple((code, ratio) for code, ratio in written["arms"])
    sizes = tuple(written["block_sizes"])
    return generate(
        in_blocks(written["study"], arms, tuple(written["strata"]), sizes, written["length"]), SEED
    )


def accepts(root: bytes, proof: Proof) -> bool:
    return verify(root, proof.entry, proof.salt, proof.index, proof.size, proof.path)


def rfc_6962_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1 by its own recursive definition, over leaf hashes."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    left, right = rfc_6962_root(leaves[:split]), rfc_6962_root(leaves[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


# The specification page and the standard


def test_page_vectors_of_the_commitment():
    page, entries = VECTORS["commitment"], list_of_page()
    commitment = commit(entries, SEED)
    salt_key = hmac.digest(SEED, b"iwrs salted-merkle/1 salt", "sha256")
    first_salt = hmac.digest(salt_key, b"visceral=yes\n1", "sha256")
    leaf = hashlib.sha256(b"\x00" + first_salt + entry_bytes(entries[0])).digest()
    assert page["algorithm"] == COMMITMENT
    assert salt_key.hex() == page["salt_key"]
    assert entry_bytes(entries[0]).hex() == page["first_entry"]
    assert first_salt.hex() == commitment.salts[0].hex() == page["first_salt"]
    assert leaf.hex() == page["first_leaf"]
    assert (commitment.size, commitment.root.hex()) == (page["size"], page["root"])


def test_page_vector_of_the_last_proof():
    page, entries = VECTORS["commitment"], list_of_page()
    last = page["last_proof"]
    proof = prove(entries, commit(entries, SEED), last["index"])
    assert proof.salt.hex() == last["salt"]
    assert [sibling.hex() for sibling in proof.path] == last["path"]
    assert accepts(bytes.fromhex(page["root"]), proof)


CERTIFICATE_TRANSPARENCY = {  # roots of the reference trees of RFC 6962's own implementation
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


@pytest.mark.parametrize("size", CERTIFICATE_TRANSPARENCY)
def test_tree_is_that_of_certificate_transparency(size):
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
    inputs.append("606162636465666768696a6b6c6d6e6f")
    leaves = [hashlib.sha256(b"\x00" + bytes.fromhex(text)).digest() for text in inputs[:size]]
    assert levels(leaves)[-1][0].hex() == CERTIFICATE_TRANSPARENCY[size]
    assert rfc_6962_root(leaves).hex() == CERTIFICATE_TRANSPARENCY[size]


# Proofs


@pytest.mark.parametrize("size", [*range(1, 35), 63, 64, 65])
def test_every_entry_of_every_size_is_proved_against_the_recursive_root(size):
    entries = list_of(size)
    commitment = commit(entries, SEED)
    leaves = [
        hashlib.sha256(b"\x00" + salt + entry_bytes(entry)).digest()
        for entry, salt in zip(entries, commitment.salts, strict=True)
    ]
    assert commitment.root == rfc_6962_root(leaves) == root_of(entries, commitment.salts)
    for index, entry in enumerate(entries):
        proof = prove(entries, commitment, index)
        assert proof.entry == entry
        assert accepts(commitment.root, proof)


ENTRIES = list_of(23)
COMMITTED = commit(ENTRIES, SEED)
PROOFS = [prove(ENTRIES, COMMITTED, index) for index in range(len(ENTRIES))]


@pytest.mark.requirement("REQ-059")
@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: f"index{proof.index}")
@pytest.mark.parametrize(
    "change",
    [
        {"arm": "C"},
        {"block": 99},
        {"position": 99},
        {"stratum": "onf"},
        {"arm": ""},
        {"arm": "A\nB"},
        {"arm": "\ud800"},
        {"arm": 1},
        {"position": 0},
        {"position": "1"},
    ],
)
def test_changed_entry_is_refused(proof, change):
    changed = dataclasses.replace(proof, entry=dataclasses.replace(proof.entry, **change))
    assert accepts(COMMITTED.root, proof)
    assert not accepts(COMMITTED.root, changed)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.data())
def test_one_changed_bit_of_salt_path_or_root_is_refused(data):
    proof = data.draw(st.sampled_from(PROOFS))
    parts = [COMMITTED.root, proof.salt, *proof.path]
    which = data.draw(st.integers(0, len(parts) - 1))
    bit = data.draw(st.integers(0, 255))
    parts[which] = (int.from_bytes(parts[which], "big") ^ 1 << bit).to_bytes(32, "big")
    root, salt, *path = parts
    assert not verify(root, proof.entry, salt, proof.index, proof.size, path)


@pytest.mark.parametrize("proof", PROOFS, ids=lambda proof: f"index{proof.index}")
def test_proof_of_another_place_or_of_a_wrong_shape_is_refused(proof):
    others = [index for index in range(-1, len(ENTRIES) + 2) if index != proof.index]
    changes = [{"index": index} for index in others]
    changes += [{"path": proof.path[:-1]}, {"path": (*proof.path, bytes(32))}, {"path": ()}]
    changes += [{"path": (proof.path[0][:-1], *proof.path[1:])}, {"salt": proof.salt + b"\x00"}]
    changes += [{"size": 0}, {"size": proof.index}, {"size": 100 * proof.size}]
    for change in changes:
        assert not accepts(COMMITTED.root, dataclasses.replace(proof, **change)), change


def test_inner_node_cannot_pass_as_an_entry():
    # Leaf and node hashes have different first bytes; without them a node is a forged leaf.
    left, right = (
        hashlib.sha256(b"\x00" + salt + entry_bytes(entry)).digest()
        for entry, salt in zip(ENTRIES[:2], COMMITTED.salts[:2], strict=True)
    )
    assert hashlib.sha256(b"\x01" + left + right).digest() in PROOFS[2].path
    assert hashlib.sha256(b"\x00" + left + right).digest() not in PROOFS[2].path


def test_bytes_cannot_move_between_salt_and_entry():
    proof = PROOFS[0]
    shorter = dataclasses.replace(proof.entry, stratum=proof.entry.stratum[1:])
    moved = dataclasses.replace(proof, entry=shorter, salt=proof.salt + b"o")
    # The leaf would hash the same bytes; only the fixed length of the salt tells them apart.
    assert moved.salt + entry_bytes(moved.entry) == proof.salt + entry_bytes(proof.entry)
    assert not accepts(COMMITTED.root, moved)


def test_a_path_longer_than_the_stated_size_allows_is_refused():
    entries = list_of(2)
    commitment = commit(entries, SEED)
    second = prove(entries, commitment, 1)
    assert accepts(commitment.root, second)
    assert not accepts(commitment.root, dataclasses.replace(second, index=0, size=1))


# The commitment


@pytest.mark.requirement("REQ-059")
def test_a_changed_list_cannot_be_proved_any_more():
    swapped = list(ENTRIES)
    place = next(at for at in range(22) if ENTRIES[at].arm != ENTRIES[at + 1].arm)
    for at, other in ((place, place + 1), (place + 1, place)):
        swapped[at] = dataclasses.replace(ENTRIES[at], arm=ENTRIES[other].arm)
    assert commit(swapped, SEED).root != COMMITTED.root
    for index in range(len(swapped)):
        with pytest.raises(CommitmentError, match="list was changed"):
            prove(swapped, COMMITTED, index)


def test_order_of_entries_and_seed_change_the_root():
    assert commit(ENTRIES[::-1], SEED).root != COMMITTED.root
    assert commit(ENTRIES, bytes(32)).root != COMMITTED.root


def test_same_list_and_seed_give_the_same_commitment():
    assert commit(ENTRIES, SEED) == COMMITTED


def test_salts_all_differ_and_are_not_printed():
    entries = list_of_page()
    commitment = commit(entries, SEED)
    assert len(set(commitment.salts)) == len(entries)
    assert "salts" not in repr(commitment)
    printed = repr(prove(entries, commitment, 0))
    assert printed == ("Proof(entry=Entry(stratum='visceral=yes', position=1), index=0, size=39)")


def test_a_longer_list_keeps_the_salts_of_the_shorter():
    assert commit(list_of(40), SEED).salts[:23] == COMMITTED.salts


@pytest.mark.parametrize("index", [-1, 23])
def test_no_proof_outside_the_list(index):
    with pytest.raises(CommitmentError, match=f"No entry {index}: .* 0 to 22"):
        prove(ENTRIES, COMMITTED, index)


def test_lists_that_cannot_be_committed_to_are_refused():
    with pytest.raises(CommitmentError, match="empty"):
        commit((), SEED)
    with pytest.raises(CommitmentError, match="Position 1 of stratum 'one' is given twice"):
        commit((*ENTRIES, ENTRIES[0]), SEED)
    with pytest.raises(CommitmentError, match="23 entries but 22 salts"):
        root_of(ENTRIES, COMMITTED.salts[1:])
    with pytest.raises(CommitmentError, match="32 bytes"):
        root_of(ENTRIES, [b"short"] * 23)
    with pytest.raises(SeedError, match="31 bytes"):
        commit(ENTRIES, bytes(31))


def test_entry_without_canonical_form_is_refused_without_telling_its_arm():
    with pytest.raises(CommitmentError, match="position 1 of stratum 'one'") as caught:
        commit((Entry("one", 1, 1, "SECRET\narm"),), SEED)
    assert "SECRET" not in str(caught.value)
