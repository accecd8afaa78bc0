"""Documents on paper: data set by a typst template into one tagged PDF (PDF/UA-1)."""

import json
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typst

# What the PDF's own fonts can show: Latin, Greek, Cyrillic, and signs. PDF/UA wants every character
# to have a shape, so others are told by their number.
_SHOWN = re.compile(
    "[ -~\u00a1-\u024f\u0370-\u03ff\u0400-\u04ff\u1e00-\u1eff\u2010-\u2027\u2030-\u2040"
    "\u20a0-\u20bf\u2190-\u22ff]"
)


def pdf(template: Path, document: Mapping[str, Any]) -> bytes:
    """The template with the document as its input `document`, never read as markup.

    Equal data give equal bytes, unless the template writes the date itself.
    """
    data = json.dumps(printable(dict(document)), ensure_ascii=False)
    made = typst.compile(
        template,
        sys_inputs={"document": data},
        format="pdf",
        pdf_standards=["ua-1"],
        ignore_system_fonts=True,
    )
    assert isinstance(made, bytes)
    return made


def printable(told: Any) -> Any:
    """The document with a shape for every character of its texts."""
    if isinstance(told, dict):
        return {key: printable(value) for key, value in told.items()}
    if isinstance(told, list):
        return [printable(each) for each in told]
    return "".join(map(_character, told)) if isinstance(told, str) else told


def _character(each: str) -> str:
    if unicodedata.category(each).startswith(("C", "Z")):
        return " "
    return each if _SHOWN.match(each) else f"[U+{ord(each):04X}]"
