"""The text of a PDF that typst made, read from its glyphs. Enough for our own documents only."""

import re
import zlib

_OBJECT = re.compile(rb"(?:^|\n)(\d+) 0 obj\s(.*?)endobj", re.DOTALL)
_SHOWN = re.compile(rb"/(f\d+) [\d.]+ Tf|\(((?:\\.|[^\\)])*)\)|(ET)", re.DOTALL)
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
    told, font = "", {}
    for name, shown, end in _SHOWN.findall(content):
        if name:
            font = fonts[name]
        elif end:
            told += "\n"
        else:
            raw = _unescaped(shown)
            glyphs = [int.from_bytes(raw[at : at + 2], "big") for at in range(0, len(raw), 2)]
            told += "".join(font.get(glyph, "") for glyph in glyphs)
    return told


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
