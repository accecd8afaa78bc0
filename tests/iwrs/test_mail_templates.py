"""Letters are plain text: a name with an apostrophe arrives as it is written."""

import pytest
from django.template.loader import render_to_string

from tests.factories import ROOT

LETTERS = sorted(
    each
    for each in ROOT.glob("**/templates/**/mail/*.txt")
    if not each.relative_to(ROOT).parts[0].startswith(".")
)


def test_there_are_letters() -> None:
    assert len(LETTERS) > 8


@pytest.mark.parametrize("letter", LETTERS, ids=lambda each: each.stem)
def test_a_letter_is_not_escaped_as_if_it_were_a_page(letter) -> None:
    text = letter.read_text(encoding="utf-8")
    opened, closed = "{% autoescape off %}", "{% endautoescape %}"
    assert opened in text.splitlines()[0]
    assert text.rstrip().endswith(closed)
    assert text.count(opened) == text.count(closed) == 1


def test_a_refusal_of_a_gate_is_written_as_it_is() -> None:
    about = {"study": {"title": "A & B"}, "title": "The kit's gone", "portal": "https://x"}
    text = render_to_string("randomization/mail/gate_refusal.txt", about)
    assert "Study: A & B" in text
    assert "The kit's gone" in text
