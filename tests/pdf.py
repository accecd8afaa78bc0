"""The text of a PDF that typst made, read from its glyphs. Enough for our own documents only."""

import re
import zlib

_OBJECT = re.compile(rb"(?:^|\n)(\d+) 0 obj\s(.*?)endobj", re.DOTALL)
_SHOWN = re.compile(rb"/(f\d+) [\d.]+ Tf|(\()|<([0-9A-F]+)>|(ET)")
_IN_STRING = re.compile(rb"\\.|[()]", re.DOTALL)
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"b": b"\b", b"f": b"\f"}


def pdf_text(document: bytes) -> str:
    """What the pages say; one line for each piece of text."""
    objects = {int(number): body for number, body in _OBJECT.findall(document)}
    fonts = {}
    for name, key in re.findall(rb"/(f\d+) (\d+) 0 R", document):
        [to_unicode] = re.findall(rb"/ToUnicode (\d+) 0 R", objects[int(key)])
        fonts[name] = _characters(_stream(objects[int(to_unicode)]))
    return "".join(
        _page(_stream(objects[int(key)]), fonts)
        for key in re.findall(rb"/Contents (\d+) 0 R", document)
    )


def _page(content: bytes, fonts: dict[bytes, dict[int, str]]) -> str:
    told, font, at = "", {}, 0
    while found := _SHOWN.search(content, at):
        at = found.end()
        name, literal, digits, end = found.groups()
        if name:
            font = fonts[name]
        elif end:
            told, font = told + "\n", {}  # strings outside of text are not shown
        else:
            if literal:
                at = _end_of_string(content, at)
                raw = _unescaped(content[found.end() : at - 1])
            else:
                raw = bytes.fromhex(digits.decode())
            glyphs = [int.from_bytes(raw[n : n + 2], "big") for n in range(0, len(raw), 2)]
            told += "".join(font.get(glyph, "") for glyph in glyphs)
    return told


def _end_of_string(content: bytes, at: int) -> int:
    """Where the string ends whose parenthesis was opened before `at`. In it, parentheses that match
    are not escaped: glyphs 40 and 41, which are other characters in every document.
    """
    depth = 1
    for found in _IN_STRING.finditer(content, at):
        depth += {b"(": 1, b")": -1}.get(found.group(), 0)
        if depth == 0:
            return found.end()
    raise ValueError("a string of the PDF does not end")


def _stream(body: bytes) -> bytes:
    data = body[body.index(b"stream") + 6 :].lstrip(b"\r\n")
    return zlib.decompressobj().decompress(data)


def _characters(cmap: bytes) -> dict[int, str]:
    pairs = re.findall(rb"<([0-9A-F]{4})> <([0-9A-F]+)>\n", cmap)
    return {int(g, 16): bytes.fromhex(text.decode()).decode("utf-16-be") for g, text in pairs}


def _unescaped(text: bytes) -> bytes:
    def one(found: re.Match[bytes]) -> bytes:
        each = found.group(1)
        return bytes([int(each, 8)]) if each.isdigit() else _ESCAPES.get(each, each)

    return re.sub(rb"\\([0-7]{1,3}|.)", one, text, flags=re.DOTALL)
