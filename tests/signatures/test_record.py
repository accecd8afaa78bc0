"""The canonical form: the same bytes for the same facts, as docs/signatures.md says."""

import hashlib
import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from iwrs.signatures import Record

DOCS = Path(__file__).parents[2] / "docs" / "signatures.md"


def test_keys_are_sorted_and_what_means_the_same_is_the_same() -> None:
    one = Record("visit", 7, {"b": date(2011, 2, 11), "a": [True, None, 3, "ä\n"]})
    two = Record("visit", 7, {"a": (True, None, 3, "ä\n"), "b": "2011-02-11"})
    assert one.canonical == (
        '{"facts":{"a":[true,null,3,"ä\\n"],"b":"2011-02-11"},"id":7,"kind":"visit","version":1}'
    )
    assert one.sha256 == two.sha256 == hashlib.sha256(one.canonical.encode()).hexdigest()


@pytest.mark.requirement("REQ-038")
def test_the_hash_is_of_one_kind_and_key() -> None:
    facts = {"a": "1"}
    hashes = {Record(kind, pk, facts).sha256 for kind in ("x", "y") for pk in (1, 2)}
    assert len(hashes) == 4
    assert Record("x", 1, {"a": 1}).sha256 != Record("x", 1, {"a": "1"}).sha256


def test_moments_are_utc_and_fractions_are_texts() -> None:
    moment = datetime(2011, 2, 11, 12, tzinfo=UTC)
    assert '"2011-02-11T12:00:00+00:00"' in Record("x", 1, {"a": moment}).canonical
    assert '"66.67"' in Record("x", 1, {"a": 66.67}).canonical
    with pytest.raises(TypeError, match="a record cannot hold a set"):
        _ = Record("x", 1, {"a": {1}}).canonical


@pytest.mark.requirement("REQ-038")
def test_the_example_of_the_documentation_is_true() -> None:
    """A stranger's way: nothing but the documented text and SHA-256."""
    text = DOCS.read_text(encoding="utf-8")
    example = re.search(r"```json\n(\{.*\})\n```", text)
    told = re.search(r"`([0-9a-f]{64})`", text)
    assert example
    assert told
    assert hashlib.sha256(example.group(1).encode("utf-8")).hexdigest() == told.group(1)
    record = Record(
        "centre activation",
        12,
        {
            "centre": "0103",
            "name": "Hôpital Sud",
            "country": "FR",
            "time zone": "Europe/Paris",
            "ethics approved on": date(2011, 2, 11),
        },
    )
    assert record.canonical == example.group(1)
