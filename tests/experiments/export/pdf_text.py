"""Reads a PDF's words back, so that tests see what a reader would."""

import re
import zlib
from dataclasses import dataclass

# A string of a PDF: parentheses in it that belong together need no backslash.
_INNER = rb"\((?:\\.|[^\\()])*\)"
_STRING = rb"\((?:\\.|[^\\()]|" + _INNER + rb")*\)"
_SHOWN = rb"((?:" + _STRING + rb"|[-\d.\[\] ])+)T[Jj]"
_PARTS = rb"([-\d.]+) ([-\d.]+) cm|/(f\d+) [\d.]+ Tf|" + _SHOWN
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}


@dataclass(frozen=True, slots=True)
class Line:
    """What stands on one line of a page, or of a cell.

    Attributes:
        page: From 0.
        x: Where it starts, in points from the left.
        y: How high above the bottom.
        words: As the font's own table of characters says.
    """

    page: int
    x: float
    y: float
    words: str


def read_lines(pdf: bytes) -> list[Line]:
    """Read the text of a PDF whose objects are in the clear and whose fonts have two-byte codes."""
    objects = dict(re.findall(rb"(\d+) 0 obj\n(.*?)\nendobj", pdf, re.S))
    pages = re.findall(rb"(\d+) 0 R", _search(rb"/Kids ?\[(.*?)\]", objects[b"1"]))
    found = []
    for number, page in enumerate(pages):
        resources = objects[_search(rb"/Resources (\d+) 0 R", objects[page])]
        fonts = {
            name: _characters(objects, font)
            for name, font in re.findall(rb"/(f\d+) (\d+) 0 R", resources)
        }
        content = _stream(objects[_search(rb"/Contents (\d+) 0 R", objects[page])])
        at, font, pieces = (0.0, 0.0), b"", dict[tuple[float, float], str]()
        for x, y, chosen, shown in re.findall(_PARTS, content, re.S):
            if x:
                at = float(x), float(y)
            elif chosen:
                font = chosen
            else:
                pieces[at] = pieces.get(at, "") + _decode(shown, fonts[font])
        found += [Line(number, *place, words) for place, words in pieces.items()]
    return found


def _search(pattern: bytes, text: bytes) -> bytes:
    match = re.search(pattern, text, re.S)
    assert match, f"no {pattern!r} in {text[:200]!r}"
    return match[1]


def _stream(body: bytes) -> bytes:
    return zlib.decompress(_search(rb"stream\r?\n(.*)\r?\nendstream", body))


def _characters(objects: dict[bytes, bytes], font: bytes) -> dict[int, str]:
    table = _stream(objects[_search(rb"/ToUnicode (\d+) 0 R", objects[font])])
    pairs = re.findall(rb"<([0-9a-fA-F]{4})> ?<([0-9a-fA-F]+)>\n", table)
    return {int(code, 16): bytes.fromhex(text.decode()).decode("utf-16-be") for code, text in pairs}


def _decode(shown: bytes, characters: dict[int, str]) -> str:
    codes = "".join(
        re.sub(r"\\([0-7]{1,3}|.)", _unescape, part[1:-1].decode("latin-1"), flags=re.S)
        for part in re.findall(_STRING, shown, re.S)
    ).encode("latin-1")
    return "".join(
        characters.get(int.from_bytes(codes[at : at + 2], "big"), "\N{REPLACEMENT CHARACTER}")
        for at in range(0, len(codes), 2)
    )


def _unescape(found: re.Match[str]) -> str:
    escaped = found[1]
    return chr(int(escaped, 8)) if escaped[0].isdigit() else _ESCAPES.get(escaped, escaped)
