"""The list generator: its specification page, its balance, its shape, its refusals."""

import dataclasses
import hashlib
import json
import re
import struct
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from randomization.listing import Entry, ListDesign, ListDesignError, SeedError, generate
from randomization.listing.keystream import KeyStream, stratum_nonce
from randomization.methods import PermutedBlocks
from tests.randomization.designs import in_blocks

ALGORITHM = PermutedBlocks.algorithm
PAGE = Path(__file__).parents[2] / "docs" / "algorithms" / "list.md"
VECTORS = json.loads(re.search(r"```json\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)[1])
SEED = bytes.fromhex(VECTORS["seed"])
TWO_TO_ONE = (("A", 2), ("B", 1))
GOOD = {
    "study": "DEMO-1",
    "arms": TWO_TO_ONE,
    "strata": ("one", "two"),
    "block_sizes": (3, 6),
    "length": 12,
}


def design_of_page() -> ListDesign:
    written = VECTORS["design"]
    return in_blocks(
        study=written["study"],
        arms=tuple((code, ratio) for code, ratio in written["arms"]),
        strata=tuple(written["strata"]),
        block_sizes=tuple(written["block_sizes"]),
        length=written["length"],
    )


def blocks_of(entries: tuple[Entry, ...], stratum: str) -> list[str]:
    blocks: dict[int, str] = {}
    for entry in entries:
        if entry.stratum == stratum:
            blocks[entry.block] = blocks.get(entry.block, "") + entry.arm
    return list(blocks.values())


# The specification page and the standards


def test_page_names_the_algorithm_in_use():
    assert VECTORS["algorithm"] == ALGORITHM


@pytest.mark.requirement("REQ-057")
@pytest.mark.parametrize("vector", VECTORS["strata"], ids=lambda vector: vector["stratum"])
def test_page_vectors_of_each_stratum(vector):
    nonce = stratum_nonce(ALGORITHM, VECTORS["design"]["study"], vector["stratum"])
    stream = KeyStream(SEED, nonce)
    assert nonce.hex() == vector["nonce"]
    assert [stream.word() for _ in vector["first_words"]] == vector["first_words"]
    assert blocks_of(generate(design_of_page(), SEED), vector["stratum"]) == vector["blocks"]


@pytest.mark.parametrize("vector", VECTORS["bounded"])
def test_page_vectors_of_bounded_integers(vector):
    stream = KeyStream(SEED, bytes(12))
    waiting = iter(vector["words"])
    stream._words = waiting
    assert stream.below(vector["bound"]) == vector["result"]
    assert len(vector["words"]) - len(list(waiting)) == vector["words_read"]


@pytest.mark.parametrize("bound", [0, -1, 2**32 + 1])
def test_bounds_outside_the_word_are_refused(bound):
    with pytest.raises(ValueError, match="bound"):
        KeyStream(SEED, bytes(12)).below(bound)


@pytest.mark.parametrize(
    ("key", "nonce", "skipped_blocks", "expected"),
    [  # RFC 8439 appendix A.1, vectors 1, 2 and 5; section 2.4.2 (first block, counter 1)
        (
            bytes(32),
            bytes(12),
            0,
            "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
            "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586",
        ),
        (
            bytes(32),
            bytes(12),
            1,
            "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
            "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f",
        ),
        (
            bytes(32),
            bytes(11) + b"\x02",
            0,
            "c2c64d378cd536374ae204b9ef933fcd1a8b2288b3dfa49672ab765b54ee27c7"
            "8a970e0e955c14f3a88e741b97c286f75f8fc299e8148362fa198a39531bed6d",
        ),
        (
            bytes(range(32)),
            bytes.fromhex("000000000000004a00000000"),
            1,
            "224f51f3401bd9e12fde276fb8631ded8c131f823d2c06e27e4fcaec9ef3cf78"
            "8a3b0aa372600a92b57974cded2b9334794cba40c63e34cdea212c4cf07d41b7",
        ),
    ],
)
def test_key_stream_is_that_of_rfc_8439(key, nonce, skipped_blocks, expected):
    stream = KeyStream(key, nonce)
    for _ in range(16 * skipped_blocks):
        stream.word()
    assert struct.pack("<16I", *(stream.word() for _ in range(16))).hex() == expected


# A second generator, written from the page and RFC 8439 alone


def chacha20_block(key: bytes, counter: int, nonce: bytes) -> list[int]:
    start = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574]
    start += [*struct.unpack("<8I", key), counter, *struct.unpack("<3I", nonce)]
    x = start.copy()
    columns = [(i, i + 4, i + 8, i + 12) for i in range(4)]
    diagonals = [(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4) for i in range(4)]
    for a, b, c, d in (columns + diagonals) * 10:
        for to, by, turned, left in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[to] = (x[to] + x[by]) & 0xFFFFFFFF
            mixed = x[turned] ^ x[to]
            x[turned] = (mixed << left | mixed >> (32 - left)) & 0xFFFFFFFF
    return [(mine + first) & 0xFFFFFFFF for mine, first in zip(x, start, strict=True)]


def list_from_the_page(design: ListDesign, seed: bytes) -> list[tuple[str, int, int, str]]:
    rows = []
    for stratum in design.strata:
        label = f"iwrs permuted-blocks/1 stratum\n{design.study}\n{stratum}"
        nonce = hashlib.sha256(label.encode()).digest()[:12]
        words = (w for counter in range(2**32) for w in chacha20_block(seed, counter, nonce))

        def below(n, words=words):
            return next(w for w in words if w < 2**32 - 2**32 % n) % n

        arms: list[str] = []
        number = 0
        while len(arms) < design.length:
            number += 1
            size = sorted(design.method.block_sizes)[below(len(design.method.block_sizes))]
            times = size // sum(ratio for _, ratio in design.arms)
            block = [code for code, ratio in design.arms for _ in range(ratio * times)]
            for i in reversed(range(1, size)):
                j = below(i + 1)
                block[i], block[j] = block[j], block[i]
            rows += [(stratum, len(arms) + k, number, arm) for k, arm in enumerate(block, 1)]
            arms += block
    return rows


@st.composite
def designs(draw) -> ListDesign:
    ratios = draw(st.lists(st.integers(1, 4), min_size=2, max_size=4))
    times = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3, unique=True))
    strata = draw(st.lists(st.sampled_from(["a", "b", "Québec", "Δ 1", "x=y"]), min_size=1,
                           max_size=3, unique=True))  # fmt: skip
    return in_blocks(
        study=draw(st.sampled_from(["S-1", "S-2", "Étude"])),
        arms=tuple((f"ARM{place}", ratio) for place, ratio in enumerate(ratios)),
        strata=tuple(strata),
        block_sizes=tuple(sum(ratios) * count for count in times),
        length=draw(st.integers(1, 60)),
    )


seeds = st.binary(min_size=32, max_size=32)
over_designs = settings(max_examples=60, deadline=None, derandomize=True, database=None)


@pytest.mark.requirement("REQ-057")
@over_designs
@given(designs(), seeds)
def test_second_generator_written_from_the_page_gives_the_same_list(design, seed):
    ours = [dataclasses.astuple(entry) for entry in generate(design, seed)]
    assert ours == list_from_the_page(design, seed)


def test_both_generators_agree_over_many_chunks_of_the_stream():
    design = in_blocks("LONG", TWO_TO_ONE, ("all",), (9, 3, 6), 5_000)
    assert [dataclasses.astuple(e) for e in generate(design, SEED)] == list_from_the_page(
        design, SEED
    )


# Balance, shape and stability


@over_designs
@given(designs(), seeds)
def test_every_prefix_is_as_balanced_as_the_ratio_and_the_largest_block_demand(design, seed):
    total = sum(ratio for _, ratio in design.arms)
    times = max(design.method.block_sizes) // total
    for stratum in design.strata:
        given_so_far: Counter[str] = Counter()
        for count, arm in enumerate("".join(blocks_of_codes(design, seed, stratum)), start=1):
            given_so_far[arm] += 1
            for place, (_, ratio) in enumerate(design.arms):
                excess = total * given_so_far[str(place)] - ratio * count
                assert abs(excess) <= times * ratio * (total - ratio)


def blocks_of_codes(design: ListDesign, seed: bytes, stratum: str) -> list[str]:
    """The blocks with one letter per entry: the arm's place in the design."""
    short = {code: str(place) for place, (code, _) in enumerate(design.arms)}
    entries = generate(design, seed)
    return blocks_of(
        tuple(dataclasses.replace(entry, arm=short[entry.arm]) for entry in entries), stratum
    )


@pytest.mark.parametrize("m", [1, 2, 3])
def test_two_to_one_stays_within_two_m(m):
    design = in_blocks("S", TWO_TO_ONE, ("all",), (3 * m,), 3_000)
    excess, seen = 0, set()
    for entry in generate(design, SEED):
        excess += 1 if entry.arm == "A" else -2
        seen.add(excess)
    # Both ends are reached in 3,000 entries, so the bound is the design's own, not a loose one.
    assert (min(seen), max(seen)) == (-2 * m, 2 * m)


@pytest.mark.requirement("REQ-058")
@over_designs
@given(designs(), seeds)
def test_blocks_are_complete_of_an_allowed_size_and_exactly_in_ratio(design, seed):
    entries = generate(design, seed)
    total = sum(ratio for _, ratio in design.arms)
    for stratum in design.strata:
        mine = [entry for entry in entries if entry.stratum == stratum]
        sizes = Counter(entry.block for entry in mine)
        assert [entry.position for entry in mine] == list(range(1, len(mine) + 1))
        assert [entry.block for entry in mine] == sorted(sizes.elements())
        assert sorted(sizes) == list(range(1, len(sizes) + 1))
        assert set(sizes.values()) <= set(design.method.block_sizes)
        assert len(mine) - sizes[len(sizes)] < design.length <= len(mine)
        counts = Counter((entry.block, entry.arm) for entry in mine)
        for block, size in sizes.items():
            for code, ratio in design.arms:
                assert counts[block, code] * total == size * ratio


@over_designs
@given(designs(), seeds, st.integers(1, 100))
def test_longer_list_extends_the_shorter(design, seed, more):
    short = generate(design, seed)
    long = generate(dataclasses.replace(design, length=design.length + more), seed)
    for stratum in design.strata:
        before = [entry for entry in short if entry.stratum == stratum]
        after = [entry for entry in long if entry.stratum == stratum]
        assert after[: len(before)] == before


@pytest.mark.requirement("REQ-057")
def test_same_inputs_give_the_same_list_and_order_of_sizes_does_not_matter():
    design = in_blocks(**GOOD)
    turned = in_blocks(**{**GOOD, "block_sizes": (6, 3)})
    assert generate(design, SEED) == generate(design, SEED) == generate(turned, SEED)


def test_strata_do_not_affect_each_other():
    both = generate(in_blocks(**GOOD), SEED)
    alone = generate(in_blocks(**{**GOOD, "strata": ("two",)}), SEED)
    assert tuple(entry for entry in both if entry.stratum == "two") == alone


def test_streams_differ_by_stratum_study_and_seed():
    inputs = [("S1", "a", SEED), ("S1", "b", SEED), ("S2", "a", SEED), ("S1", "a", bytes(32))]
    streams = [KeyStream(seed, stratum_nonce(ALGORITHM, study, key)) for study, key, seed in inputs]
    words = [word for stream in streams for word in (stream.word() for _ in range(200))]
    # 800 words of 32 bits repeat by chance once in 13,000 tries.
    assert len(set(words)) == len(words)


def test_text_moved_between_study_and_stratum_gives_another_stream():
    assert stratum_nonce(ALGORITHM, "S1", "1a") != stratum_nonce(ALGORITHM, "S11", "a")


# Refusals


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"study": ""}, "study: must be a text"),
        ({"study": " S"}, "study: .* begins or ends with a space"),
        ({"strata": ("a\nb",)}, r"strata\[0\]: .* control character"),
        ({"strata": ("a", "\ud800")}, r"strata\[1\]: .* control character"),
        ({"strata": ("Que\u0301bec",)}, "NFC"),
        ({"strata": ()}, "strata: has 0 members; at least 1"),
        ({"strata": "one"}, "strata: must be a tuple, not str"),
        ({"strata": ("a", "b", "a")}, "strata: 'a' is given twice"),
        ({"arms": (("A", 2),)}, "arms: has 1 members; at least 2"),
        ({"arms": (("A", 2), ("A", 1))}, "arms: 'A' is given twice"),
        ({"arms": (("A", 2), ("B",))}, r"arms\[1\]: must be a pair"),
        ({"arms": (("A", 2), (7, 1))}, r"arms\[1\] code: must be a text"),
        ({"arms": (("A", 2), ("B", 0))}, r"arms\[1\] ratio: 0 is not a whole number"),
        ({"arms": (("A", 2), ("B", True))}, r"arms\[1\] ratio: True is not"),
        ({"block_sizes": ()}, "block_sizes: has 0 members"),
        ({"block_sizes": (3, 4)}, r"block_sizes\[1\]: 4 is not a multiple of 3"),
        ({"block_sizes": (6, 6)}, "block_sizes: 6 is given twice"),
        ({"block_sizes": (0,)}, r"block_sizes\[0\]: 0 is not a whole number"),
        ({"block_sizes": (30_000,)}, r"block_sizes\[0\]: 30000 is above the limit"),
        ({"length": 0}, "length: 0 is not a whole number"),
        ({"length": 12.0}, "length: 12.0 is not a whole number"),
        ({"length": 5_000_000}, "length: 5000000 per stratum may give 10000010 entries"),
    ],
)
def test_design_that_cannot_give_a_list_is_refused_with_the_reason(change, message):
    with pytest.raises(ListDesignError, match=message):
        in_blocks(**{**GOOD, **change})


@pytest.mark.parametrize("seed", [b"", bytes(31), bytes(33), "0" * 32, bytearray(32)])
def test_seed_other_than_32_bytes_is_refused(seed):
    with pytest.raises(SeedError, match="seed"):
        generate(in_blocks(**GOOD), seed)


def test_nonce_of_another_length_is_refused():
    with pytest.raises(ValueError, match="nonce has 8 bytes"):
        KeyStream(SEED, bytes(8))


@pytest.mark.requirement("REQ-058")
def test_printed_entry_and_design_do_not_tell_arm_or_block_size():
    entry = Entry(stratum="one", position=5, block=2, arm="SECRET")
    assert repr(entry) == "Entry(stratum='one', position=5)"
    assert "block_sizes" not in repr(in_blocks(**GOOD))
