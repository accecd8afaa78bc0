"""What hostile people type: into databases, templates, browsers, spreadsheets and logs."""

from collections.abc import Iterable

import pytest
from hypothesis import strategies as st

TEXTS = {
    "sql quote": "'; DROP TABLE enrolment_subject; --",
    "sql union": '" UNION SELECT arm FROM unblinded.allocation -- ',
    "sql dollar": "$$; SELECT pg_sleep(9); $$ \\'; \\\\",
    "template": "{{ 7*7 }}{% debug %}{% include 'base.html' %}{{ settings.SECRET_KEY }}",
    "script": "<script>alert(document.cookie)</script>",
    "attribute": "\" autofocus onfocus=alert(1) x='",
    "close tags": "</textarea></title><img src=x onerror=alert(1)>",
    "format": "%s %(act)s {0} {act.__class__} %n",
    "nul": "before\x00after",
    "bidi": "abc\u202etxt.exe\u2066\u2069\u200f\ufeff",
    "header": "a\r\nSet-Cookie: iwrs_blinded_session=x\r\n\r\nb",
    "formula": '=HYPERLINK("https://example.org/?"&A1,"x")',
    "number": "9" * 400,
    "date": "99999-13-45",
    "long": "x" * 20_000,
    "path": "../../../../etc/passwd",
    "unicode": "\U0001f9ea\u0130\u00df\ufdfa" + "\u0301" * 40,
    "json": '{"$ne": null, "__proto__": {"a": 1}}',
}
# No day, or none that a trial can be about: at the ends of the calendar no day can be shifted.
DAYS = {
    "first day": "0001-01-01",
    "last day": "9999-12-31",
    "no day": "2024-02-30",
    "old day": "1899-12-31",
}
# For choices, days, numbers, e-mail addresses, passwords and hidden values.
FEW = ("sql quote", "nul", "number")
# A walk over all fields takes a few texts for each, in turn, so that every text meets many fields.
# In `make prove` every text meets every field.
WALKS = [
    pytest.param(False, id="in turn"),
    pytest.param(True, id="every", marks=pytest.mark.slow),
]
SEARCHED = (*FEW, "template", "script", "attribute", "header")

_WORDS = """' " \\ ;-- {{ }} {% %} < > & &lt; <script> javascript: %s %(x)s = + @ -1 None"""
_PIECES = st.sampled_from([*_WORDS.split(), *"\x00\u202e\u200f\t\n\ufffd"])
# Half an emoji can be named in JSON, but not sent by a browser.
_SENDABLE = st.characters(exclude_categories=["Cs"])


def hostile(alphabet: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Fragments that mean something to some interpreter, between other characters."""
    pieces = _PIECES | st.text(alphabet, max_size=8)
    return st.lists(pieces, min_size=1, max_size=12).map("".join)


TYPED = hostile(_SENDABLE) | st.sampled_from(list(DAYS.values()))
IN_JSON = hostile(st.characters())


def some_in_turn(texts: Iterable[str], turn: int, *, some: int, every: bool) -> list[str]:
    """`some` of the texts, others at each turn."""
    known = list(texts)
    first = turn * some
    return known if every else [known[(first + step) % len(known)] for step in range(some)]


def names_in_turn(turn: int, every: bool) -> list[str]:
    """Names of the texts for one field of a walk, the `turn`-th."""
    return some_in_turn(TEXTS, turn, some=4, every=every)
