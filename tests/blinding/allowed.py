"""The allowlist: what may differ between two plays of one tape, and why. Nothing else may.

Times that are real and not of the study's calendar, random keys that nobody chose, and hashes of
encrypted files. Whatever is masked is masked in the same way in both plays, by its form or by its
column, never by the row or page it is in.
"""

import re
from datetime import UTC, datetime
from typing import Any

# Columns of public tables: times that the database records.
COLUMNS = {
    "created_at",
    "recorded_at",
    "requested_at",
    "finished_at",
    "pgh_created_at",
}
# A random key of each request, in the rows of history that came with it and in records of the door,
# of looks and of reviews: which rows share one must not differ.
OF_THE_REQUEST = ("pgh_context_id", "of_request")
# A session's key is random. A letter is due and sent in real time. Transactions of all databases
# are numbered together. An encrypted file differs by its random key.
COLUMNS_OF = {
    "public.django_session": {"session_key", "session_data"},
    "public.iwrs_outboxmessage": {"due_at", "sent_at"},
    "public.randomization_codebreakrequest": {"transaction", "revealed_at"},
    "public.randomization_codebreakrequestevent": {"transaction", "revealed_at"},
    "public.dsmb_extract": {"sealed", "sha256"},
    "public.dsmb_extractevent": {"sealed", "sha256"},
    # So does a centre's sealed code-break pack, which only an emergency holder opens.
    "public.dsmb_sealedpack": {"sealed", "sha256"},
    "public.dsmb_sealedpackevent": {"sha256"},
    # And a study's sealed randomization pack.
    "public.dsmb_paperpack": {"sealed", "sha256"},
    "public.dsmb_paperpackevent": {"sha256"},
}

_MONTHS = "|".join(datetime(2000, month, 1).strftime("%B") for month in range(1, 13))  # noqa: DTZ001
_YEAR = f"{datetime.now(UTC):%Y}"  # studies are played in 2009 to 2011
_CLOCK = r"\d\d:\d\d(:\d\d(\.\d+)?)?"
_PATTERNS = {
    # Real time, as an address, as JSON and as pages write it.
    rf"{_YEAR}-\d\d-\d\dT\d\d%3A\d\d%3A\d\d\.\d+": "<real time>",
    rf"{_YEAR}-\d\d-\d\d([T ]\d\d(:\d\d(:\d\d(\.\d+)?)?)?(Z|\+00:00)?)?": "<real time>",
    rf"\d{{1,2}} ({_MONTHS}) {_YEAR}(,? {_CLOCK})?": "<real time>",
    rf"{_YEAR} ({_MONTHS}) \d{{1,2}}(,? {_CLOCK})?": "<real time>",
    rf"-{_YEAR}\d{{6}}\b": "-<real hour>",  # in the key of a letter that goes once an hour
    r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT": "<real time>",
    r"(<real time>[^<\n]{0,30}), \d\d:\d\d UTC": r"\1, <real time>",
    # Where an object of Python's lay in memory, in a log line.
    r" at 0x[0-9a-f]+": " at <address>",
    # The one-time link in a letter: a hash over the account and the moment, and nothing else.
    r"(/set-password/\w+/)[\w-]+": r"\1<token>",
    # One-time tokens of forms, names of sessions, and keys of requests, messages and tasks.
    r'(name="(csrfmiddlewaretoken|token|which)" value=")[^"]+': r"\1<token>",
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b": "<random key>",
}
# The first door: whoever broke a code is shown the treatment, in this one answer.
DOOR = re.compile(r"^POST /code-breaks/\d+/$")
SEALED = b"age-encryption.org/v1\n"  # the second door: a file that only its recipient opens
_COMPILED = [(re.compile(pattern), instead) for pattern, instead in _PATTERNS.items()]
# The value of a cookie is random; its name and attributes are not.
_COOKIE = re.compile(r"^([^=]+)=[^;]*")


def masked(text: str, ciphertexts: tuple[str, ...] = ()) -> str:
    """The text without what may differ. `ciphertexts` are the SHA-256 of encrypted files."""
    for pattern, instead in _COMPILED:
        text = pattern.sub(instead, text)
    for number, digest in enumerate(ciphertexts):
        text = text.replace(digest, f"<SHA-256 of sealed file {number}>")
    return text


def without_sealed_file(row: dict[str, Any]) -> dict[str, Any]:
    """A signed record without what it says of a sealed file that it releases."""
    if row.get("record_kind") != "release of an extract":
        return row
    text = re.sub(r'("SHA-256":)"[0-9a-f]{64}"', r'\1"<sealed file>"', str(row["canonical"]))
    hidden = row | {"canonical": text, "sha256": "<of a record with a sealed file>"}
    if row["shown_sha256"] == row["sha256"]:
        hidden["shown_sha256"] = hidden["sha256"]
    return hidden


def cookie(header: str) -> str:
    return masked(_COOKIE.sub(r"\1=<random>", header))


def columns_of(table: str) -> list[str]:
    """The masked columns of a public table (`public.name`)."""
    return sorted(COLUMNS | COLUMNS_OF.get(table, set()))
